// The weight gradient, in four ways: with channels as lanes, in matrix registers, with elements of wide kernels, or as dot
// products along positions; and the convolution as dot products along wide kernels.
#pragma once

#include "layout.hpp"

namespace tconv {

int64_t gradient_workspace(const Plan& plan, const Layout& layout);
int64_t matrix_gradient_workspace(const Plan& plan, const Layout& layout);
int64_t wide_gradient_workspace(const Plan& plan, const Layout& layout);
int64_t dot_gradient_workspace(const Plan& plan, const Layout& layout);
int64_t dot_conv_workspace(const Plan& plan, const Layout& layout);

template <class S>
void run_gradient(const Plan& plan, const Layout& layout, int64_t workspace, const S* x, const S* y, S* gradient);
template <class S>
void run_matrix_gradient(const Plan& plan, const Layout& layout, int64_t workspace, const S* x, const S* y, S* gradient);
template <class S>
void run_wide_gradient(const Plan& plan, const Layout& layout, int64_t workspace, const S* x, const S* y, S* gradient);
template <class S>
void run_dot_gradient(const Plan& plan, const Layout& layout, int64_t workspace, const S* x, const S* y, S* gradient);
template <class T>  // reads weights as they are
void run_dot_conv(const Plan& plan, const Layout& layout, int64_t workspace, const T* y, const T* weight, const T* bias,
                  T* x);

}  // namespace tconv
