#pragma once
#define SECRET_SSID "network"
#define SECRET_PASS "password"
#define SECRET_MQTT_PASSWORD "password"
#define SECRET_CA "-----BEGIN CERTIFICATE-----\n"
