//! What tests stand on: embedded DynamoDB and simulators under the real SDK clients, virtual clock, seeded ids.
