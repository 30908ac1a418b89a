#include "matrix.hpp"

#if defined(__AMX_BF16__) && defined(__linux__)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tconv {
namespace {

// The registers' shapes: 0 to 3 hold sums (row of tiles * 2 + column), 4 and 5 weights, 6 and 7 the panel.
struct alignas(64) Shapes {
  uint8_t palette = 1, start = 0, reserved[14] = {};
  uint16_t bytes[16] = {};
  uint8_t rows[16] = {};

  void set(int tile, int64_t height, int64_t width) {
    rows[tile] = static_cast<uint8_t>(height), bytes[tile] = static_cast<uint16_t>(width);
  }
};

// Bytes of weights that stay in a first-level cache of 32 KiB beside what is read of the panel.
constexpr int64_t kWeights = 20 << 10;

// One block of sums over the folds [begin, end); the first folds begin it.
template <int high, int wide>
void block(const MatrixArgs& args, int64_t column, int64_t begin, int64_t end) {
  float* c = args.c + column;
  const int64_t a_stride = args.pairs * 4, b_stride = args.b_stride * 4, c_stride = args.c_stride * 4;
  if (begin == 0) {
    _tile_zero(0);
    if constexpr (wide > 1) _tile_zero(1);
    if constexpr (high > 1) _tile_zero(2);
    if constexpr (high > 1 && wide > 1) _tile_zero(3);
  } else {
    _tile_loadd(0, c, c_stride);
    if constexpr (wide > 1) _tile_loadd(1, c + 16, c_stride);
    if constexpr (high > 1) _tile_loadd(2, c + 16 * args.c_stride, c_stride);
    if constexpr (high > 1 && wide > 1) _tile_loadd(3, c + 16 * args.c_stride + 16, c_stride);
  }
  const char* a = static_cast<const char*>(args.a) + begin * args.taps * args.rows * a_stride;
  const char* panel = static_cast<const char*>(args.b) + column * 4 + begin * args.pairs * b_stride;
  for (int64_t f = begin; f < end; ++f, panel += args.pairs * b_stride)
    for (int64_t t = 0; t < args.taps; ++t, a += args.rows * a_stride) {
      const char* b = panel + args.offsets[t] * 4;
      _tile_loadd(6, b, b_stride);
      _tile_loadd(4, a, a_stride);
      _tile_dpbf16ps(0, 4, 6);
      if constexpr (wide > 1) {
        _tile_loadd(7, b + 64, b_stride);
        _tile_dpbf16ps(1, 4, 7);
      }
      if constexpr (high > 1) {
        _tile_loadd(5, a + 16 * a_stride, a_stride);
        _tile_dpbf16ps(2, 5, 6);
        if constexpr (wide > 1) _tile_dpbf16ps(3, 5, 7);
      }
    }
  _tile_stored(0, c, c_stride);
  if constexpr (wide > 1) _tile_stored(1, c + 16, c_stride);
  if constexpr (high > 1) _tile_stored(2, c + 16 * args.c_stride, c_stride);
  if constexpr (high > 1 && wide > 1) _tile_stored(3, c + 16 * args.c_stride + 16, c_stride);
}

}  // namespace

bool matrix_unit() {
  static const bool there = [] {
    unsigned a, b, c, d;
    const unsigned wanted = 1u << 22 | 1u << 24;  // bfloat16, tiles
    constexpr int kAskForPermission = 0x1023, kTiles = 18;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & wanted) == wanted &&
           syscall(SYS_arch_prctl, kAskForPermission, kTiles) == 0;
  }();
  return there;
}

void matrix(const MatrixArgs& args) {
  const int64_t upper = args.rows < 16 ? args.rows : 16, lower = args.rows - upper;
  Shapes shapes;
  for (int column = 0; column < 2; ++column) {
    shapes.set(column, upper, 64);
    if (lower) shapes.set(2 + column, lower, 64);
    shapes.set(6 + column, args.pairs, 64);
  }
  shapes.set(4, upper, args.pairs * 4);
  if (lower) shapes.set(5, lower, args.pairs * 4);
  _tile_loadconfig(&shapes);
  const int64_t fold_bytes = args.taps * args.rows * args.pairs * 4;
  const int64_t step = fold_bytes && fold_bytes < kWeights ? kWeights / fold_bytes : 1;
  for (int64_t begin = 0; begin < args.folds; begin += step) {
    const int64_t end = begin + step < args.folds ? begin + step : args.folds;
    int64_t j = 0;
    for (; j + 16 < args.columns; j += 32) (lower ? block<2, 2> : block<1, 2>)(args, j, begin, end);
    if (j < args.columns) (lower ? block<2, 1> : block<1, 1>)(args, j, begin, end);
  }
  _tile_release();
}

}  // namespace tconv

#else

#include <stdexcept>

namespace tconv {
bool matrix_unit() { return false; }
void matrix(const MatrixArgs&) { throw std::logic_error("this build knows no matrix unit"); }
}  // namespace tconv

#endif
