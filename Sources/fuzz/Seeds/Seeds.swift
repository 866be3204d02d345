import Foundation

/// Inputs to start from: one good one of every kind, so that the fuzzer need not find the formats first.
enum Seeds {
  static func write(to directory: URL) throws {
    for parser in FuzzedParser.allCases {
      let inputs =
        switch parser {
        case .configuration: ConfigurationInput.seeds
        case .envelope: EnvelopeInput.seeds
        case .frames: try MessageSeeds.inputs()
        case .job: JobSeeds.inputs
        case .safetensors: SafetensorsSeeds.inputs
        }
      let folder = directory.appending(path: parser.rawValue)
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      for (number, input) in inputs.enumerated() {
        try input.write(to: folder.appending(path: "seed-\(number)"))
      }
    }
  }
}
