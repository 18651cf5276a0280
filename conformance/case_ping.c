#include "conformance/case.h"

const struct spec_case case_ping[] = {{0}};
