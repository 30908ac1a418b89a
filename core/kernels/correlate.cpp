// Tiles of weight gradients in matrix registers: sums over positions instead of channels. kernels/matrix.cpp
// explains parts and their products.
//
// Registers take the second operand, y, in pairs of positions. A kernel element is an offset into y. An even
// offset begins some pairs later; for odd ones there is a second copy of the pairs, shifted by one position.
// So every load is of whole cache lines.
#include <cstdint>

#include "kernel_set.hpp"
#include "registers.hpp"
#include "simd.hpp"

namespace tconv {
namespace {

// Registers: height * width of sums, then `height` of x, then `width` of y.
template <int height, int width> struct Block {
  static constexpr int kA = height * width, kB = kA + height;
  static_assert(kB + width <= 8);
  int64_t a_tile, b_tile;  // bytes

  template <int i = 0> inline __attribute__((always_inline)) void clear() const {
    zero<i>();
    if constexpr (i + 1 < kA) clear<i + 1>();
  }
  template <int i = 0> inline __attribute__((always_inline)) void rows(const char* a) const {
    load<kA + i>(a + i * a_tile, 64);
    if constexpr (i + 1 < height) rows<i + 1>(a);
  }
  template <int j = 0> inline __attribute__((always_inline)) void columns(const char* b) const {
    load<kB + j>(b + j * b_tile, 64);
    if constexpr (j + 1 < width) columns<j + 1>(b);
  }
  template <int i = 0> inline __attribute__((always_inline)) void products() const {
    multiply<i, kA + i / width, kB + i % width>();
    if constexpr (i + 1 < kA) products<i + 1>();
  }
  // The same, and each register of one operand is reloaded as soon as it has been used.
  template <int i = 0> inline __attribute__((always_inline)) void products_then_rows(const char* a) const {
    multiply<i, kA + i / width, kB + i % width>();
    if constexpr (i % width == width - 1) load<kA + i / width>(a + i / width * a_tile, 64);
    if constexpr (i + 1 < kA) products_then_rows<i + 1>(a);
  }
  template <int j = 0> inline __attribute__((always_inline)) void products_then_columns(const char* b) const {
    constexpr int i = j % height, column = j / height;
    multiply<i * width + column, kA + i, kB + column>();
    if constexpr (i == height - 1) load<kB + column>(b + column * b_tile, 64);
    if constexpr (j + 1 < kA) products_then_columns<j + 1>(b);
  }
  template <int i = 0> inline __attribute__((always_inline)) void keep(float* sums) const {
    store<i>(sums + i * 256, 64);
    if constexpr (i + 1 < kA) keep<i + 1>(sums);
  }
};

template <int height, int width, int parts> void correlate(const CorrelateArgs<float>& args) {
  using Vector = Simd<float>::Vector;
  const Block<height, width> of{args.a_tile * 4, args.b_tile * 4};
  const char *a = reinterpret_cast<const char*>(args.a), *b = reinterpret_cast<const char*>(args.b);
  const int64_t part = args.b_part * 4;
  of.clear();
  for (int64_t k = 0; k < args.blocks; ++k, a += parts * kRegister, b += kRegister) {
    of.rows(a), of.columns(b);
    if constexpr (parts == 2) {
      of.products_then_rows(a + kRegister);
      of.products_then_columns(b + part);
      of.products_then_rows(a);
    } else if constexpr (parts == 3) {  // an order in which consecutive products share an operand
      of.products_then_rows(a + 2 * kRegister);
      of.products_then_rows(a + kRegister);
      of.products_then_columns(b + part);
      of.products_then_rows(a);
      of.products_then_columns(b + 2 * part);
    }
    of.products();
  }
  alignas(64) float sums[height][width][256];
  of.keep(sums[0][0]);
  for (int i = 0; i < height; ++i)
    for (int j = 0; j < width; ++j) {
      Vector square[16];
#pragma GCC unroll 16
      for (int r = 0; r < 16; ++r) square[r] = Simd<float>::load(sums[i][j] + 16 * r);
      turn_square<float, 1>(square);
#pragma GCC unroll 16
      for (int r = 0; r < 16; ++r) {
        const int64_t place = args.places[16 * j + r];
        if (place < 0) continue;
        float* to = args.c + place + 16 * i;
        Simd<float>::store(to, args.accumulate ? Simd<float>::load(to) + square[r] : square[r]);
      }
    }
}

template <int height, int width> void fill_tile(MatrixSet<float>& set) {
  set.correlate[0][height][width] = correlate<height, width, 1>;
  set.correlate[1][height][width] = correlate<height, width, 2>;
  set.correlate[2][height][width] = correlate<height, width, 3>;
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
