#pragma once
#include <cstdint>
#include "WiFiClient.h"
struct PubSubClient {
  explicit PubSubClient(Client &);
  bool connect(const char *, const char *, const char *);
  bool connected();
  bool loop();
  bool publish(const char *, const char *);
  bool setBufferSize(uint16_t);
  bool subscribe(const char *, uint8_t);
  int state();
  PubSubClient &setServer(const char *, uint16_t);
  PubSubClient &setCallback(void (*)(char *, uint8_t *, unsigned int));
};
