// The weight gradient, in two ways: with channels as lanes, or with elements of wide kernels.
#pragma once

#include "layout.hpp"

namespace tconv {

int64_t gradient_workspace(const Plan& plan, const Layout& layout);
int64_t wide_gradient_workspace(const Plan& plan, const Layout& layout);

template <class T>
void run_gradient(const Plan& plan, const Layout& layout, int64_t workspace, const T* x, const T* y, T* gradient);
template <class T>
void run_wide_gradient(const Plan& plan, const Layout& layout, int64_t workspace, const T* x, const T* y, T* gradient);

}  // namespace tconv
