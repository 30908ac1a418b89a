// Matrix registers (AMX) by number. Included by kernel files only.
#pragma once

#include <immintrin.h>

#include <cstdint>

#if defined(TCONV_EMULATE_TILES)
#include "tiles.hpp"
#endif

namespace tconv {
namespace {

constexpr int64_t kRegister = 1024;  // bytes: 16 rows of 64

#if !defined(TCONV_EMULATE_TILES)

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

[[maybe_unused]] constexpr TileConfig
    kConfig;  // in memory: the compiler does not know how much of it the instruction reads

inline void configure() { asm volatile("ldtilecfg %0" ::"m"(kConfig)); }

inline void release() { _tile_release(); }

// The compiler's intrinsics take only literal register numbers.
template <int reg> inline __attribute__((always_inline)) void load(const void* from, int64_t row_bytes) {
  asm volatile("tileloadd (%1,%2,1), %%tmm%c0" ::"i"(reg), "r"(from), "r"(row_bytes) : "memory");
}
template <int reg> inline __attribute__((always_inline)) void store(void* to, int64_t row_bytes) {
  asm volatile("tilestored %%tmm%c0, (%1,%2,1)" ::"i"(reg), "r"(to), "r"(row_bytes) : "memory");
}
template <int reg> inline __attribute__((always_inline)) void zero() {
  asm volatile("tilezero %%tmm%c0" ::"i"(reg));
}
template <int sums, int a, int b> inline __attribute__((always_inline)) void multiply() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sums), "i"(a), "i"(b));
}

// bfloat16 numbers, those of `high` above those of `low`.
inline __m512i nearest(__m512 high, __m512 low) {
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
}

#endif

// Numbers that are infinite, NaN or subnormal: of what remains of numbers before the last part is taken,
// those whose parts do not hold them.
inline __mmask16 unusual(__m512 x) { return _mm512_fpclass_ps_mask(x, 0xb9); }

}  // namespace
}  // namespace tconv
