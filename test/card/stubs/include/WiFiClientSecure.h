#pragma once
#include "WiFiClient.h"
struct WiFiClientSecure : WiFiClient {
  void setCACert(const char *);
};
