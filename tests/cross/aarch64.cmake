# SPDX-License-Identifier: MIT
# Cross build for 64-bit ARM with Debian's compiler. tests/cross/sysroot unpacks the
# libraries that we link into build/aarch64-sysroot; libc comes with the compiler.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)

get_filename_component(root ${CMAKE_CURRENT_LIST_DIR}/../.. ABSOLUTE)
set(sysroot ${root}/build/aarch64-sysroot)
set(lib ${sysroot}/usr/lib/aarch64-linux-gnu)
# where Debian keeps the headers that differ between architectures
set(CMAKE_C_STANDARD_INCLUDE_DIRECTORIES ${sysroot}/usr/include/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH ${sysroot} /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(ENV{PKG_CONFIG_LIBDIR} ${lib}/pkgconfig:${sysroot}/usr/share/pkgconfig)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${sysroot})
# the libraries' own libraries: neither the linker nor qemu looks in there by itself
set(CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,-rpath-link,${lib}")
set(CMAKE_SHARED_LINKER_FLAGS_INIT "-Wl,-rpath-link,${lib}")
find_program(qemu NAMES qemu-aarch64-static qemu-aarch64 REQUIRED)
set(CMAKE_CROSSCOMPILING_EMULATOR
  ${qemu} -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH=${lib})
