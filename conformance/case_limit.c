#include "conformance/case.h"

const struct spec_case case_limit[] = {{0}};
