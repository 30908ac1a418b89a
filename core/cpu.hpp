#pragma once

namespace tconv {

// The vectors that this CPU has and that the system saves for a process.
struct CpuVectors {
  bool avx2 = false;    // with fma and f16c
  bool avx512 = false;  // f, vl, bw and dq, with fma and f16c
  bool amx = false;     // tiles of bfloat16, with avx512_bf16; the system has still to be asked for them
};

CpuVectors cpu_vectors();

}  // namespace tconv
