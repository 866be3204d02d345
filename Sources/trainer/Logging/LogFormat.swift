public import ArgumentParser
public import Logging

/// How log lines look.
enum LogFormat: String, ExpressibleByArgument, CaseIterable {
  case text
  case json
}

extension Logger.Level: @retroactive ExpressibleByArgument {}
