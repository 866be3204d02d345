import Foundation

/// Runs one parser on many inputs. Not installed and not part of a release.
///
/// Built with `-Xswiftc -sanitize=fuzzer -Xswiftc -DFUZZER` (`make fuzz`) it is a coverage-guided libFuzzer program; built plainly it only
/// writes seeds and runs the inputs it is given once each, which is how an input that was found is looked at again.
@main
struct Fuzz {
  private static let usage = """
    usage: fuzz seeds DIRECTORY            write starting inputs, one directory a parser
           fuzz PARSER FILE…               run each input once
           fuzz PARSER [-option=value…] CORPUS…   (built with -sanitize=fuzzer) libFuzzer with its options
    parsers: \(FuzzedParser.allCases.map(\.rawValue).joined(separator: ", "))

    """

  static func main() throws {
    let arguments = CommandLine.arguments
    if arguments.count == 3, arguments[1] == "seeds" {
      try Seeds.write(to: URL(filePath: arguments[2]))
      return
    }
    guard arguments.count >= 2, let parser = FuzzedParser(rawValue: arguments[1]) else {
      FileHandle.standardError.write(Data(usage.utf8))
      exit(2)
    }
    #if FUZZER
      exit(LibFuzzer.run(parser, arguments: [arguments[0]] + arguments.dropFirst(2)))
    #else
      for file in arguments.dropFirst(2) {
        print(file)
        parser.run(try Data(contentsOf: URL(filePath: file)))
      }
    #endif
  }
}

/// What is fuzzed. A run ends well for every input: taken or refused by a thrown error, and what was taken means the same when it is written and
/// read again. Anything else is a trap, which the fuzzer reports together with the input.
enum FuzzedParser: String, CaseIterable {
  /// Charters of federations and sites' files.
  case charter
  /// What an owner gives the clients of a deployment.
  case client
  /// What arrives over a connection, before it is a message.
  case envelope
  /// Messages of a federation off the wire, of either side, and lines of its records.
  case federation
  /// Messages off the wire, of either side.
  case frames
  /// What a pretrained model says of itself.
  case configuration
  /// Job specifications.
  case job
  /// Safetensors headers.
  case safetensors
  /// Graphs of layers, as owners describe models.
  case graph
  /// Messages and states of secure sums, of either side.
  case sums

  func run(_ input: Data) {
    switch self {
    case .charter: CharterInput.run(input)
    case .client: ClientInput.run(input)
    case .configuration: ConfigurationInput.run(input)
    case .envelope: EnvelopeInput.run(input)
    case .federation: FederationInput.run(input)
    case .frames: FrameInput.run(input)
    case .job: JobInput.run(input)
    case .safetensors: SafetensorsInput.run(input)
    case .graph: GraphInput.run(input)
    case .sums: SumInput.run(input)
    }
  }
}

#if FUZZER
  import Foundation

  /// The entry of libFuzzer (compiler-rt, `FuzzerInterface.h`), which comes with the Swift toolchain's own clang.
  enum LibFuzzer {
    private typealias Callback = @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt

    /// - Parameter arguments: the program's name, then libFuzzer's own options and corpora.
    /// - Returns: libFuzzer's exit code; a crash ends the process with 77 instead, the input saved.
    static func run(_ parser: FuzzedParser, arguments: [String]) -> CInt {
      let callback: Callback =
        switch parser {
        case .charter: { LibFuzzer.feed(.charter, $0, $1) }
        case .client: { LibFuzzer.feed(.client, $0, $1) }
        case .configuration: { LibFuzzer.feed(.configuration, $0, $1) }
        case .envelope: { LibFuzzer.feed(.envelope, $0, $1) }
        case .federation: { LibFuzzer.feed(.federation, $0, $1) }
        case .frames: { LibFuzzer.feed(.frames, $0, $1) }
        case .job: { LibFuzzer.feed(.job, $0, $1) }
        case .safetensors: { LibFuzzer.feed(.safetensors, $0, $1) }
        case .graph: { LibFuzzer.feed(.graph, $0, $1) }
        case .sums: { LibFuzzer.feed(.sums, $0, $1) }
        }
      var count = CInt(arguments.count)
      // Never freed: libFuzzer keeps them for as long as the process lives.
      var pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = .allocate(capacity: arguments.count + 1)
      for (index, argument) in arguments.enumerated() { pointers?[index] = strdup(argument) }
      pointers?[arguments.count] = nil
      return runDriver(&count, &pointers, callback)
    }

    private static func feed(_ parser: FuzzedParser, _ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
      parser.run(Data(UnsafeBufferPointer(start: bytes, count: count)))
      return 0
    }
  }

  /// What the library's own `main` would call; it is linked in whole and not used, because the parser is chosen first.
  @_cdecl("LLVMFuzzerTestOneInput")
  func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt { -1 }

  @_silgen_name("LLVMFuzzerRunDriver")
  private func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
    _ callback: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
  ) -> CInt
#endif

/// Inputs to start from: one good one of every kind, so that the fuzzer need not find the formats first.
enum Seeds {
  static func write(to directory: URL) throws {
    for parser in FuzzedParser.allCases {
      let inputs =
        switch parser {
        case .charter: CharterInput.seeds
        case .client: ClientInput.seeds
        case .configuration: ConfigurationInput.seeds
        case .envelope: EnvelopeInput.seeds
        case .federation: FederationInput.seeds
        case .frames: try MessageSeeds.inputs()
        case .job: JobSeeds.inputs
        case .safetensors: SafetensorsSeeds.inputs
        case .graph: try GraphInput.seeds()
        case .sums: try SumInput.seeds()
        }
      let folder = directory.appending(path: parser.rawValue)
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      for (number, input) in inputs.enumerated() {
        try input.write(to: folder.appending(path: "seed-\(number)"))
      }
    }
  }
}
