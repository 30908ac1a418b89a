// Tiles of weight gradients in matrix registers: sums over positions instead of channels. Parts and their products are
// those of kernels/matrix.cpp.
//
// Rows of the first operand are y's channels as they lie, so that a tap is an offset by some positions, even or odd; only
// the second operand, x, has its positions in pairs.
#include <immintrin.h>

#include <cstdint>

#include "../table.hpp"
#include "registers.hpp"

namespace tconv {
namespace {

// Registers: height * width of sums, then `height` of y, then `width` of x.
template <int height, int width>
struct Block {
  static constexpr int kA = height * width, kB = kA + height;
  static_assert(kB + width <= 8);
  int64_t row, tile;  // bytes: from a row of y to the next, from 16 columns of x to the next

  template <int i = 0>
  inline __attribute__((always_inline)) void clear() const {
    zero<i>();
    if constexpr (i + 1 < kA) clear<i + 1>();
  }
  template <int i = 0>
  inline __attribute__((always_inline)) void rows(const char* a) const {
    load<kA + i>(a + i * 16 * row, row);
    if constexpr (i + 1 < height) rows<i + 1>(a);
  }
  template <int j = 0>
  inline __attribute__((always_inline)) void columns(const char* b) const {
    load<kB + j>(b + j * tile, 64);
    if constexpr (j + 1 < width) columns<j + 1>(b);
  }
  template <int i = 0>
  inline __attribute__((always_inline)) void products() const {
    multiply<i, kA + i / width, kB + i % width>();
    if constexpr (i + 1 < kA) products<i + 1>();
  }
  // The same, and each register of one operand loaded anew as soon as it has been used.
  template <int i = 0>
  inline __attribute__((always_inline)) void products_then_rows(const char* a) const {
    multiply<i, kA + i / width, kB + i % width>();
    if constexpr (i % width == width - 1) load<kA + i / width>(a + i / width * 16 * row, row);
    if constexpr (i + 1 < kA) products_then_rows<i + 1>(a);
  }
  template <int j = 0>
  inline __attribute__((always_inline)) void products_then_columns(const char* b) const {
    constexpr int i = j % height, column = j / height;
    multiply<i * width + column, kA + i, kB + column>();
    if constexpr (i == height - 1) load<kB + column>(b + column * tile, 64);
    if constexpr (j + 1 < kA) products_then_columns<j + 1>(b);
  }
  template <int i = 0>
  inline __attribute__((always_inline)) void keep(float* sums) const {
    store<i>(sums + i / width * 256 * width + i % width * 16, 64 * width);
    if constexpr (i + 1 < kA) keep<i + 1>(sums);
  }
};

template <int height, int width, int parts>
void correlate(const CorrelateArgs<float>& args) {
  const Block<height, width> of{args.a_row * 2, args.b_tile * 4};
  const char *a = reinterpret_cast<const char*>(args.a), *b = reinterpret_cast<const char*>(args.b);
  const int64_t part = args.a_part * 2;
  of.clear();
  for (int64_t k = 0; k < args.blocks; ++k, a += 64, b += parts * kRegister) {
    of.rows(a), of.columns(b);
    if constexpr (parts == 3) {  // an order in which one operand stays where it is
      of.products_then_rows(a + 2 * part);
      of.products_then_rows(a + part);
      of.products_then_columns(b + kRegister);
      of.products_then_rows(a);
      of.products_then_columns(b + 2 * kRegister);
    }
    of.products();
  }
  alignas(64) float sums[16 * height][16 * width];
  of.keep(sums[0]);
  for (int r = 0; r < 16 * height; ++r) {
    if (args.places[r] < 0) continue;
    float* to = args.c + args.places[r];
#pragma GCC unroll 3
    for (int j = 0; j < 16 * width; j += 16) {
      const __m512 made = _mm512_load_ps(sums[r] + j);
      _mm512_storeu_ps(to + j, args.accumulate ? _mm512_add_ps(_mm512_loadu_ps(to + j), made) : made);
    }
  }
}

template <int height, int width>
void fill_tile(MatrixSet<float>& set) {
  set.correlate[0][height][width] = correlate<height, width, 1>;
  set.correlate[1][height][width] = correlate<height, width, 3>;
}

}  // namespace

void fill_correlate(MatrixSet<float>& set) {
  fill_tile<1, 1>(set);
  fill_tile<1, 2>(set);
  fill_tile<1, 3>(set);
  fill_tile<2, 1>(set);
  fill_tile<2, 2>(set);
}

}  // namespace tconv
