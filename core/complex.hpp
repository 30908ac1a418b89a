// Complex numbers by real ones. A map on complex channels is a real map on twice as many, in which the real part of each
// channel is followed by its imaginary part:
//
//   (y_re, y_im) = (x_re, x_im) [ w_re  w_im ]
//                               [-w_im  w_re ]
//
// No map conjugates.
#pragma once

#include "plan.hpp"

namespace tconv {

// The real plan by which a plan of complex numbers is carried out; others stay as they are.
Plan real_plan(Plan plan);

// Complex planes to real ones, re and im by turns, and back. T is the type of a part.
template <class T>
void split_planes(const Plan& plan, const T* from, int64_t planes, int64_t size, T* to);
template <class T>
void join_planes(const Plan& plan, const T* from, int64_t planes, int64_t size, T* to);

// Complex weights to those of the real plan; the real plan's weight gradient to the complex one.
template <class T>
void split_weights(const Plan& plan, const T* from, T* to);
template <class T>
void join_gradient(const Plan& plan, const T* from, T* to);

}  // namespace tconv
