// Complex maps as real ones. A map on complex channels is a real map on twice as many channels, in which the
// imaginary part of each channel follows its real part:
//
//   (y_re, y_im) = (x_re, x_im) [ w_re  w_im ]
//                               [-w_im  w_re ]
//
// No map takes conjugates.
#pragma once

#include "method.hpp"

namespace tconv {

// Whether the plan's numbers are complex and it is not a plan of the reference.
bool is_complex(const Plan& plan);

// The real plan that computes a plan of complex numbers; other plans are returned unchanged.
Plan real_plan(Plan plan);

// `setup` and `method` are those of the real plan.
int64_t complex_packed(const Setup& setup,
                       const Method& method);  // bytes; real weights where `method` reads them as they are
void pack_complex(const Setup& setup, const Method& method, const void* weight, void* packed);
void run_complex(const Setup& setup, const Method& method, const Arrays& arrays);

}  // namespace tconv
