# Cross-compiles with zig, which brings the headers and libraries of every target. From the environment, since CMake reads
# this file anew for each of its own tests: TCONV_ZIG, the program; TCONV_ZIG_TARGET, as in aarch64-linux-gnu.2.28.
set(target $ENV{TCONV_ZIG_TARGET})
if(target MATCHES "macos")
  set(CMAKE_SYSTEM_NAME Darwin)
  set(CMAKE_OSX_SYSROOT "") # zig's own
  set(CMAKE_INSTALL_NAME_TOOL unused) # which CMake asks for, though no library is renamed
  set(CMAKE_USER_MAKE_RULES_OVERRIDE_CXX ${CMAKE_CURRENT_LIST_DIR}/zig_macos.cmake)
else()
  set(CMAKE_SYSTEM_NAME Linux)
endif()
string(REGEX MATCH "^[^-]+" CMAKE_SYSTEM_PROCESSOR ${target})

set(CMAKE_CXX_COMPILER $ENV{TCONV_ZIG} c++ -target ${target} -O3)
set(CMAKE_CXX_ARCHIVE_CREATE "\"$ENV{TCONV_ZIG}\" ar qc <TARGET> <LINK_FLAGS> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_FINISH "\"$ENV{TCONV_ZIG}\" ranlib <TARGET>")
