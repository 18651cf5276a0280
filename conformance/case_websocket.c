#include "conformance/case.h"

const struct spec_case case_websocket[] = {{0}};
