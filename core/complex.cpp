#include "complex.hpp"

#include <algorithm>

#include "table.hpp"
#include "threads.hpp"

namespace tconv {
namespace {

// Calls plane(i) for each i in [0, planes), many small ones a task.
template <class Plane>
void each_plane(const Plan& plan, int64_t planes, const Plane& plane) {
  const int64_t tasks = std::min<int64_t>(planes, 64);
  parallel_for(tasks, plan.most_threads, [&](int64_t task, int) {
    for (int64_t i = planes * task / tasks; i < planes * (task + 1) / tasks; ++i) plane(i);
  });
}

// Calls kernel(first complex weight, first of the real weights that join both real parts, from one row of real weights to
// the next, elements) for each pair of complex channels.
template <class Kernel>
void each_kernel(const Plan& plan, const Kernel& kernel) {
  const Problem& p = plan.problem;
  const int64_t cells = p.kernel[0] * p.kernel[1] * p.kernel[2], width = p.out_channels / 2;
  each_plane(plan, p.groups * p.in_channels / 2, [&](int64_t i) {
    for (int64_t o = 0; o < width; ++o)
      kernel((i * width + o) * cells, (2 * i * p.out_channels + 2 * o) * cells, p.out_channels * cells, cells);
  });
}

}  // namespace

Plan real_plan(Plan plan) {
  if (plan.dtype != DType::c64 && plan.dtype != DType::c128) return plan;
  plan.complex = true;
  plan.dtype = plan.dtype == DType::c64 ? DType::f32 : DType::f64;
  plan.problem.in_channels *= 2, plan.problem.out_channels *= 2;
  return plan;
}

template <class T>
void split_planes(const Plan& plan, const T* from, int64_t planes, int64_t size, T* to) {
  const KernelSet<T>& kernels = kernels_for<T>(plan.isa);
  each_plane(plan, planes, [&](int64_t i) {
    for (int64_t part = 0; part < 2; ++part) kernels.gather(from + 2 * i * size + part, 2, size, to + (2 * i + part) * size);
  });
}

template <class T>
void join_planes(const Plan& plan, const T* from, int64_t planes, int64_t size, T* to) {
  const KernelSet<T>& kernels = kernels_for<T>(plan.isa);
  each_plane(plan, planes, [&](int64_t i) {
    kernels.interleave({from + 2 * i * size, size, 2, size, 0, 2 * size, T(0), to + 2 * i * size, {}});
  });
}

template <class T>
void split_weights(const Plan& plan, const T* from, T* to) {
  const bool transposed = plan.map == Map::conv_transpose;  // else what lies in rows is the target
  each_kernel(plan, [&](int64_t whole, int64_t real, int64_t row, int64_t cells) {
    for (int64_t k = 0; k < cells; ++k) {
      const T re = from[2 * (whole + k)], im = from[2 * (whole + k) + 1];
      T* at = to + real + k;
      at[0] = at[row + cells] = re;
      at[transposed ? cells : row] = im, at[transposed ? row : cells] = -im;
    }
  });
}

template <class T>
void join_gradient(const Plan& plan, const T* from, T* to) {
  each_kernel(plan, [&](int64_t whole, int64_t real, int64_t row, int64_t cells) {
    for (int64_t k = 0; k < cells; ++k) {
      const T* at = from + real + k;
      to[2 * (whole + k)] = at[0] - at[row + cells];
      to[2 * (whole + k) + 1] = at[cells] + at[row];
    }
  });
}

#define TCONV_COMPLEX(T)                                                    \
  template void split_planes(const Plan&, const T*, int64_t, int64_t, T*);  \
  template void join_planes(const Plan&, const T*, int64_t, int64_t, T*);   \
  template void split_weights(const Plan&, const T*, T*);                   \
  template void join_gradient(const Plan&, const T*, T*);
TCONV_COMPLEX(float)
TCONV_COMPLEX(double)

}  // namespace tconv
