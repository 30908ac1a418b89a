// A program without Python that runs a model in ONNX Runtime with the engine: host RUNTIME LIBRARY MODEL X Y.
//
// X and Y are files of raw float32 numbers; the input is 1x3x5x6. ONNX Runtime's headers are not in its Python
// package, so its functions are called by their places in its table; a program of yours includes them instead.
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <vector>

using Table = void* const*;
struct Base {
  Table (*get)(uint32_t);
  const char* (*version)();
};

static Table table;
template <class... Arguments> void call(int index, Arguments... arguments) {
  if (void* status = reinterpret_cast<void* (*)(Arguments...)>(table[index])(arguments...)) {
    std::fprintf(stderr, "%s\n", reinterpret_cast<const char* (*)(void*)>(table[2])(status));
    std::exit(1);
  }
}

int main(int, char** given) {
  void* runtime = dlopen(given[1], RTLD_NOW);
  if (!runtime) return std::fprintf(stderr, "%s\n", dlerror()), 2;
  table = reinterpret_cast<const Base* (*)()>(dlsym(runtime, "OrtGetApiBase"))()->get(16);
  std::ifstream file(given[4], std::ios::binary);
  std::vector<char> x((std::istreambuf_iterator<char>(file)), {});
  void *env, *options, *library, *session, *memory, *input, *output = nullptr, *info;
  call(3, 4, "host", &env);                                                       // CreateEnv
  call(10, &options);                                                             // CreateSessionOptions
  call(29, options, static_cast<const char*>(given[2]), &library);                // RegisterCustomOpsLibrary
  call(7, env, static_cast<const char*>(given[3]), options, &session);            // CreateSession
  call(69, 0, 0, &memory);                                                        // CreateCpuMemoryInfo
  const int64_t shape[] = {1, 3, 5, 6};
  call(49, memory, static_cast<void*>(x.data()), x.size(), shape, size_t{4}, 1, &input);  // CreateTensor...
  const char *inputs[] = {"x"}, *outputs[] = {"y"};
  call(9, session, nullptr, inputs, &input, size_t{1}, outputs, size_t{1}, &output);  // Run
  call(65, output, &info);                                                        // GetTensorTypeAndShape
  size_t count = 0;
  call(64, info, &count);  // GetTensorShapeElementCount
  void* numbers;
  call(51, output, &numbers);  // GetTensorMutableData
  std::ofstream(given[5], std::ios::binary)
      .write(static_cast<char*>(numbers), static_cast<std::streamsize>(count * sizeof(float)));
}
