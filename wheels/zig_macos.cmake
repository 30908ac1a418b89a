# Read after CMake's own rules. zig links dynamic libraries, but not bundles; Python loads either. Its linker reads no files of
# options, by which nanobind lists the functions that Python brings.
set(CMAKE_CXX_CREATE_SHARED_MODULE "<CMAKE_CXX_COMPILER> <LANGUAGE_COMPILE_FLAGS> -dynamiclib \
-Wl,-undefined,dynamic_lookup -Wl,-dead_strip -Wl,-x -Wl,-S -o <TARGET> <OBJECTS> <LINK_LIBRARIES>")
