# SPDX-License-Identifier: MIT
# Which engines TR_BRIDGE means: TR_BRIDGE_ENGINES is a list of zmq and ucx, and may be empty.
set(TR_BRIDGE_ENGINES "")
set(oldest_ucx 1.22)

foreach(engine ${TR_BRIDGE})
  if(NOT engine MATCHES "^(auto|zmq|ucx)$")
    message(FATAL_ERROR "TR_BRIDGE is \"${TR_BRIDGE}\"; there are OFF, auto, zmq, ucx and \"zmq;ucx\"")
  endif()
endforeach()

# libzmq, which also makes keys.
if("zmq" IN_LIST TR_BRIDGE)
  pkg_check_modules(ZMQ REQUIRED IMPORTED_TARGET libzmq)
elseif("auto" IN_LIST TR_BRIDGE)
  pkg_check_modules(ZMQ QUIET IMPORTED_TARGET libzmq)
endif()
if(ZMQ_FOUND)
  list(APPEND TR_BRIDGE_ENGINES zmq)
endif()

# The headers of UCX. The program loads the library itself, when it is asked for ucx://. Sets
# ucx_headers, and ucx_why if they are of no use.
function(find_ucx)
  set(ucx_why "" PARENT_SCOPE)
  if(UCX_ROOT)
    set(ucx_headers ${UCX_ROOT}/include)
  else()
    pkg_check_modules(UCX QUIET ucx)
    pkg_get_variable(ucx_headers ucx includedir)
  endif()
  set(file ${ucx_headers}/ucp/api/ucp_version.h)
  if(NOT EXISTS ${file})
    set(ucx_why "UCX was not found${UCX_ROOT}: there is no ${file}" PARENT_SCOPE)
    if(NOT UCX_ROOT)
      set(ucx_why "pkg-config knows no UCX" PARENT_SCOPE)
    endif()
    return()
  endif()
  file(STRINGS ${file} lines REGEX "define UCP_API_(MAJOR|MINOR) ")
  list(TRANSFORM lines REPLACE ".*_(MAJOR|MINOR) +([0-9]+).*" "\\2")
  list(JOIN lines "." version)
  if(version VERSION_LESS oldest_ucx)
    set(ucx_why "this is UCX ${version}, in ${ucx_headers}" PARENT_SCOPE)
  endif()
  set(ucx_headers ${ucx_headers} PARENT_SCOPE)
endfunction()

if("ucx" IN_LIST TR_BRIDGE OR "auto" IN_LIST TR_BRIDGE)
  find_ucx()
  if(NOT ucx_why)
    list(APPEND TR_BRIDGE_ENGINES ucx)
  elseif("ucx" IN_LIST TR_BRIDGE)
    message(FATAL_ERROR "TR_BRIDGE names ucx, which needs UCX ${oldest_ucx} or newer: ${ucx_why}. "
      "Older ones are ended by any stranger on the port. Take a newer one, for example that of "
      "pip install --target FOLDER libucx-cu12, and say -DUCX_ROOT=FOLDER/libucx; or say "
      "-DTR_BRIDGE=zmq")
  else()
    message(STATUS "tensoring-bridge is built without ucx://, which needs UCX ${oldest_ucx} or newer: "
      "${ucx_why}; see UCX_ROOT")
  endif()
endif()
