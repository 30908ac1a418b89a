#pragma once

#include <string>

namespace tconv {

// The vectors that this CPU has and that the system saves for a process.
struct CpuVectors {
  bool avx2 = false;    // with fma and f16c
  bool avx512 = false;  // f, vl, bw and dq, with fma and f16c
  bool amx = false;     // tiles of bfloat16, with avx512_bf16; the system has still to be asked for them
};

CpuVectors cpu_vectors();

// What an x86 CPU says of itself. Others have no such instruction: empty, and planning asks the system.
struct CpuName {
  std::string vendor, name;  // such as "AuthenticAMD", "AMD EPYC 9755 128-Core Processor"
  int family = 0, model = 0;
};

CpuName cpu_name();

}  // namespace tconv
