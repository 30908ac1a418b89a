// Matrix registers (AMX) emulated in software, for machines without them: bit for bit as the instructions are
// described (Intel's Software Developer's Manual, TDPBF16PS). Included by registers.hpp where
// TCONV_EMULATE_TILES is set, so that tests and sanitizers can run the kernels that use the registers. It is
// slow.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace tconv {

// The eight registers of a thread, each 16 rows of 64 bytes. Kernel files share them like real registers.
struct SoftwareTiles {
  alignas(64) uint32_t rows[8][16][16];
  bool configured;
};
inline thread_local SoftwareTiles software_tiles;

namespace {

// An instruction on registers that are not configured is invalid.
inline void need_configured() {
  if (!software_tiles.configured) __builtin_trap();
}

inline void configure() {
  std::memset(software_tiles.rows, 0, sizeof software_tiles.rows);
  software_tiles.configured = true;
}

inline void release() { configure(), software_tiles.configured = false; }

template <int reg> inline void load(const void* from, int64_t row_bytes) {
  need_configured();
  for (int i = 0; i < 16; ++i)
    std::memcpy(software_tiles.rows[reg][i], static_cast<const char*>(from) + i * row_bytes, 64);
}

template <int reg> inline void store(void* to, int64_t row_bytes) {
  need_configured();
  for (int i = 0; i < 16; ++i)
    std::memcpy(static_cast<char*>(to) + i * row_bytes, software_tiles.rows[reg][i], 64);
}

template <int reg> inline void zero() {
  need_configured();
  std::memset(software_tiles.rows[reg], 0, sizeof software_tiles.rows[reg]);
}

// Subnormal operands and results count as zero, whatever this thread's own setting is. The computation reads
// and writes memory between two statements across which the compiler moves no access to memory.
class FlushSubnormals {
 public:
  FlushSubnormals() {
    asm volatile("stmxcsr %0" : "=m"(before_)::"memory");
    const uint32_t flushing =
        0x1f80 | 0x8040;  // exceptions masked, to nearest; flush to zero, subnormals are zeros
    asm volatile("ldmxcsr %0" ::"m"(flushing) : "memory");
  }
  ~FlushSubnormals() { asm volatile("ldmxcsr %0" ::"m"(before_) : "memory"); }

 private:
  uint32_t before_;
};

// sums[m][n] += (sum over k of even a[m][k] * even b[k][n]) + (the same of odd ones), k in order, each step
// one fused multiply and add in float32, rounded to nearest. Sanitizers would only slow it down: no address
// in it depends on a plan.
template <int sums, int a, int b>
__attribute__((noinline, no_sanitize("address", "undefined"))) void multiply() {
  need_configured();
  uint32_t (&own)[8][16][16] = software_tiles.rows;
  const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xffff0000));
  const FlushSubnormals flush;
  for (int m = 0; m < 16; ++m) {
    __m512 even = _mm512_setzero_ps(), odd = _mm512_setzero_ps();
    for (int k = 0; k < 16; ++k) {
      const __m512i pair = _mm512_set1_epi32(static_cast<int>(own[a][m][k])),
                    row = _mm512_load_si512(own[b][k]);
      even = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(pair, 16)),
                             _mm512_castsi512_ps(_mm512_slli_epi32(row, 16)), even);
      odd = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(pair, upper)),
                            _mm512_castsi512_ps(_mm512_and_si512(row, upper)), odd);
    }
    _mm512_store_ps(own[sums][m], _mm512_add_ps(_mm512_load_ps(own[sums][m]), _mm512_add_ps(even, odd)));
  }
}

// bfloat16 numbers, those of `high` above those of `low`: to nearest, ties to even, subnormals to zero
// (VCVTNE2PS2BF16).
inline __m512i nearest(__m512 high, __m512 low) {
  const auto one = [](__m512 x) {
    const __m512i bits = _mm512_castps_si512(x),
                  sign = _mm512_and_si512(bits, _mm512_set1_epi32(static_cast<int>(0x80000000)));
    const __m512i half = _mm512_srli_epi32(bits, 16), last = _mm512_and_si512(half, _mm512_set1_epi32(1));
    __m512i made =
        _mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_add_epi32(_mm512_set1_epi32(0x7fff), last)), 16);
    made = _mm512_mask_mov_epi32(made, _mm512_fpclass_ps_mask(x, 0x20),
                                 _mm512_srli_epi32(sign, 16));  // subnormal
    made = _mm512_mask_mov_epi32(made, _mm512_fpclass_ps_mask(x, 0x81),
                                 _mm512_or_si512(half, _mm512_set1_epi32(0x40)));  // NaN
    return _mm512_cvtepi32_epi16(made);
  };
  return _mm512_inserti64x4(_mm512_castsi256_si512(one(low)), one(high), 1);
}

}  // namespace
}  // namespace tconv
