# SPDX-License-Identifier: MIT
# Debian packages, one for each component of the installation. `cpack` makes them from a build;
# docs/install.md says how. Only tensoring-bridge needs an engine for networks.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME tensoring)
set(CPACK_PACKAGE_VENDOR "The tensoring authors")
set(CPACK_PACKAGE_CONTACT "The tensoring authors <nobody@example.invalid>")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/packaging/folders.cmake)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_COMPONENTS_ALL library development)
if(TR_CLI)
  list(APPEND CPACK_COMPONENTS_ALL command)
endif()
if(TARGET tensoring-bridge)
  list(APPEND CPACK_COMPONENTS_ALL bridge)
endif()
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)

# What a program needs is read from it; that the packages fit each other is said here.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR}/src)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY "=")
set(library libtensoring${PROJECT_VERSION_MAJOR})

set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME ${library})
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION "Tensors between processes through shared memory: the library")

set(CPACK_DEBIAN_COMMAND_PACKAGE_NAME tensoring)
set(CPACK_DEBIAN_COMMAND_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_COMMAND_PACKAGE_DEPENDS "${library} (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_COMMAND_PACKAGE_SUGGESTS tensoring-bridge)
set(CPACK_COMPONENT_COMMAND_DESCRIPTION "Tensors between processes through shared memory: the command")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libtensoring-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "${library} (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SHLIBDEPS OFF)
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "Tensors between processes through shared memory: headers and manual")

set(CPACK_DEBIAN_BRIDGE_PACKAGE_NAME tensoring-bridge)
set(CPACK_DEBIAN_BRIDGE_PACKAGE_SECTION net)
set(CPACK_DEBIAN_BRIDGE_PACKAGE_DEPENDS "${library} (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_BRIDGE_PACKAGE_RECOMMENDS tensoring)
set(CPACK_COMPONENT_BRIDGE_DESCRIPTION
  "Tensors between processes through shared memory: on to another host\n tensoring-bridge carries queues, services, boards and broadcasts to the arena of another host.")

foreach(component ${CPACK_COMPONENTS_ALL})
  string(TOUPPER ${component} name)
  install(FILES ${PROJECT_SOURCE_DIR}/LICENSE RENAME copyright COMPONENT ${component}
    DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${CPACK_DEBIAN_${name}_PACKAGE_NAME})
endforeach()

include(CPack)
