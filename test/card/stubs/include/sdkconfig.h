#pragma once
#define CONFIG_SLUICE_MQTT_PASSWORD "password"
