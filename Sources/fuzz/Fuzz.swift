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
