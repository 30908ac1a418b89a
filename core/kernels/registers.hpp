// Matrix registers (AMX) by number. Included by kernel files only.
#pragma once

#include <cstdint>

namespace tconv {
namespace {

constexpr int64_t kRegister = 1024;  // bytes: 16 rows of 64

// The compiler's own intrinsics take literal register numbers only.
template <int reg>
inline __attribute__((always_inline)) void load(const void* from, int64_t row_bytes) {
  asm volatile("tileloadd (%1,%2,1), %%tmm%c0" ::"i"(reg), "r"(from), "r"(row_bytes) : "memory");
}
template <int reg>
inline __attribute__((always_inline)) void store(void* to, int64_t row_bytes) {
  asm volatile("tilestored %%tmm%c0, (%1,%2,1)" ::"i"(reg), "r"(to), "r"(row_bytes) : "memory");
}
template <int reg>
inline __attribute__((always_inline)) void zero() {
  asm volatile("tilezero %%tmm%c0" ::"i"(reg));
}
template <int sums, int a, int b>
inline __attribute__((always_inline)) void multiply() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sums), "i"(a), "i"(b));
}

}  // namespace
}  // namespace tconv
