#include "conformance/case.h"

const struct spec_case case_goaway[] = {{0}};
