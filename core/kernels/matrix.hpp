// Products of bfloat16 matrices in float by the matrix unit of some x86 CPUs (AMX).
#pragma once

#include <cstdint>

namespace tconv {

// c[i * c_stride + j] = sum over folds f, taps t and pairs k of
//   the pair products of a[((f * taps + t) * rows + i) * pairs + k] and b[offsets[t] + (f * pairs + k) * b_stride + j]
// for i in [0, rows) and j in [0, columns rounded up to 16). Numbers of a and b are pairs of bfloat16 in 32 bits.
constexpr int64_t kMatrixRows = 32, kMatrixColumns = 16, kMatrixPairs = 16;

struct MatrixArgs {
  const void *a, *b;
  const int64_t* offsets;
  int64_t taps, folds, pairs;  // pairs: at most 16
  int64_t rows, columns;       // rows: at most 32
  int64_t b_stride;
  float* c;
  int64_t c_stride;
};

bool matrix_unit();  // whether this CPU has one and the system lets this process use it
void matrix(const MatrixArgs& args);

}  // namespace tconv
