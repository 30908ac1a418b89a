// The weight gradient, in four ways: with channels as lanes, in matrix registers, with elements of wide
// kernels, or as dot products along positions; and the convolution as dot products along weights, with y
// in memory order for wide kernels, or gathered for each position.
#pragma once

#include "setup.hpp"

namespace tconv {

int64_t gradient_workspace(const Setup& setup);
void run_gradient(const Setup& setup, const Arrays& arrays);

int64_t matrix_gradient_workspace(const Setup& setup);
void run_matrix_gradient(const Setup& setup, const Arrays& arrays);

int64_t wide_gradient_workspace(const Setup& setup);
void run_wide_gradient(const Setup& setup, const Arrays& arrays);

int64_t dot_gradient_workspace(const Setup& setup);
void run_dot_gradient(const Setup& setup, const Arrays& arrays);

// Both read weights as they are.
int64_t dot_conv_workspace(const Setup& setup);
void run_dot_conv(const Setup& setup, const Arrays& arrays);

int64_t gathered_conv_workspace(const Setup& setup);
void run_gathered_conv(const Setup& setup, const Arrays& arrays);

}  // namespace tconv
