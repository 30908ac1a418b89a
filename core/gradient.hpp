// The weight gradient, in two ways: with channels as lanes, or with elements of wide kernels.
#pragma once

#include "layout.hpp"

namespace tconv {

int64_t gradient_workspace(const Plan& plan, const Layout& layout);
int64_t wide_gradient_workspace(const Plan& plan, const Layout& layout);

template <class S>
void run_gradient(const Plan& plan, const Layout& layout, int64_t workspace, const S* x, const S* y, S* gradient);
template <class S>
void run_wide_gradient(const Plan& plan, const Layout& layout, int64_t workspace, const S* x, const S* y, S* gradient);

}  // namespace tconv
