// Tiles in matrix registers (AMX): 16 x 16 sums of products of bfloat16 pairs.
//
// A float32 is the sum of three bfloat16 numbers: its 24 bits are three times 8. Of the nine products of two
// such sums the six largest are computed; the other three are together about 2^-23 of the product, as small
// as its rounding in float32 (Henry, Tang and Heinecke 2019, arXiv 1904.06376). A matrix register multiplies
// 16 times as fast as vectors do, so six products are still much faster than one by vectors. Subnormal
// parts count as zero, and numbers above bfloat16's largest, 3.39e38, have none: core/exact.cpp says what is
// done then. A float16 has two parts, and all four products are computed; a bfloat16 number is its only part.
#include <immintrin.h>

#include <cstdint>

#include "kernel_set.hpp"
#include "registers.hpp"

namespace tconv {
namespace {

// Registers: height * width of sums, then `height` of weights, then `width` of the panel.
template <int height, int width> struct Block {
  static constexpr int kA = height * width, kB = kA + height;
  static_assert(kB + width <= 8);

  template <int i = 0> static inline __attribute__((always_inline)) void clear() {
    zero<i>();
    if constexpr (i + 1 < kA) clear<i + 1>();
  }
  template <int i = 0> static inline __attribute__((always_inline)) void rows(const char* a) {
    load<kA + i>(a + i * kRegister, 64);
    if constexpr (i + 1 < height) rows<i + 1>(a);
  }
  template <int j = 0>
  static inline __attribute__((always_inline)) void columns(const float* b, int64_t row_bytes) {
    load<kB + j>(b + j * 16, row_bytes);
    if constexpr (j + 1 < width) columns<j + 1>(b, row_bytes);
  }
  template <int i = 0> static inline __attribute__((always_inline)) void products() {
    multiply<i, kA + i / width, kB + i % width>();
    if constexpr (i + 1 < kA) products<i + 1>();
  }
  // The same row by row, each register of weights is reloaded from `a` as soon as it has been used: a load
  // waits for the products that read the previous content, while the products of the other rows continue.
  template <int i = 0> static inline __attribute__((always_inline)) void products_then_rows(const char* a) {
    multiply<i, kA + i / width, kB + i % width>();
    if constexpr (i % width == width - 1) load<kA + i / width>(a + i / width * kRegister, 64);
    if constexpr (i + 1 < kA) products_then_rows<i + 1>(a);
  }
  // The same column by column, for the registers of the panel.
  template <int j = 0>
  static inline __attribute__((always_inline)) void products_then_columns(const float* b, int64_t row_bytes) {
    constexpr int i = j % height, column = j / height;
    multiply<i * width + column, kA + i, kB + column>();
    if constexpr (i == height - 1) load<kB + column>(b + column * 16, row_bytes);
    if constexpr (j + 1 < kA) products_then_columns<j + 1>(b, row_bytes);
  }
  template <int i = 0> static inline __attribute__((always_inline)) void keep(float* c, int64_t stride) {
    store<i>(c + i / width * 16 * stride + i % width * 16, stride * 4);
    if constexpr (i + 1 < kA) keep<i + 1>(c, stride);
  }
};

// Prefetches the cache lines of the next `height` registers.
template <int height> inline __attribute__((always_inline)) void ask(const char* from) {
#pragma GCC unroll 32
  for (int i = 0; i < 16 * height; ++i) __builtin_prefetch(from + i * 64);
}

template <int height, int width, int parts> void tile(const MatrixArgs<float>& args) {
  using Of = Block<height, width>;
  constexpr int64_t part = height * kRegister;
  const char* a = reinterpret_cast<const char*>(args.a);
  const int64_t row_bytes = args.b_row * 4, ahead = args.ahead * 4;
  Of::clear();
  // The taps are the inner loop, channels the outer: taps read the same cache lines, which stay in L1.
  for (int64_t k = 0; k < args.blocks; ++k) {
    const float* block = args.b + k * 16 * args.b_row;
    for (int64_t t = 0; t < args.taps; ++t, a += parts * part) {
      const float* b = block + args.offsets[t];
      Of::rows(a), Of::columns(b, row_bytes);
      if (ahead) ask<height>(a + ahead);
      if constexpr (parts == 2) {
        Of::products_then_rows(a + part);
        if (ahead) ask<height>(a + ahead + part);
        Of::products_then_columns(b + args.b_part, row_bytes);
        Of::products_then_rows(a);
      } else if constexpr (parts == 3) {  // an order in which consecutive products share an operand
        Of::products_then_rows(a + 2 * part);
        if (ahead) ask<height>(a + ahead + part);
        Of::products_then_rows(a + part);
        if (ahead) ask<height>(a + ahead + 2 * part);
        Of::products_then_columns(b + args.b_part, row_bytes);
        Of::products_then_rows(a);
        Of::products_then_columns(b + 2 * args.b_part, row_bytes);
      }
      Of::products();
    }
  }
  Of::keep(args.c, args.c_stride);
}

// Pairs of bfloat16, low[i] below high[i]: both are rounded to bfloat16, and the rounding errors remain in
// `low` and `high`.
inline __m512i round_off(__m512& low, __m512& high) {
  const __m512i places = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7,
                                          22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const __m512i pairs = _mm512_permutexvar_epi16(places, nearest(high, low));
  low = _mm512_sub_ps(low, _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)));
  high = _mm512_sub_ps(
      high, _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xffff0000)))));
  return pairs;
}

template <int parts>
bool split_pairs(const float* even, const float* odd, int64_t count, float* to, int64_t part) {
  __mmask16 lost = 0;
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 mask = count - i < 16 ? static_cast<__mmask16>((1u << (count - i)) - 1) : 0xffff;
    __m512 low = _mm512_maskz_loadu_ps(mask, even + i);
    __m512 high = odd ? _mm512_maskz_loadu_ps(mask, odd + i) : _mm512_setzero_ps();
#pragma GCC unroll 3
    for (int p = 0; p < parts; ++p) {
      if (p + 1 == parts) lost |= static_cast<__mmask16>(unusual(low) | unusual(high));
      _mm512_mask_storeu_ps(to + p * part + i, mask, _mm512_castsi512_ps(round_off(low, high)));
    }
  }
  return lost;
}

bool split_pairs_any(const float* even, const float* odd, int64_t count, int parts, float* to, int64_t part) {
  const auto split = parts == 1 ? split_pairs<1> : parts == 2 ? split_pairs<2> : split_pairs<3>;
  return split(even, odd, count, to, part);
}

template <int height, int width> void fill_tile(MatrixSet<float>& set) {
  set.tile[0][height][width] = tile<height, width, 1>;
  set.tile[1][height][width] = tile<height, width, 2>;
  set.tile[2][height][width] = tile<height, width, 3>;
}

}  // namespace

void fill_matrix(MatrixSet<float>& set) {
  set.begin = configure;
  set.end = release;
  fill_tile<1, 1>(set);
  fill_tile<1, 2>(set);
  fill_tile<1, 3>(set);
  fill_tile<2, 1>(set);
  fill_tile<2, 2>(set);
  set.split_pairs = split_pairs_any;
}

}  // namespace tconv
