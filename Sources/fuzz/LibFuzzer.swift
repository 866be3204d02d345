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
        case .configuration: { LibFuzzer.feed(.configuration, $0, $1) }
        case .envelope: { LibFuzzer.feed(.envelope, $0, $1) }
        case .frames: { LibFuzzer.feed(.frames, $0, $1) }
        case .job: { LibFuzzer.feed(.job, $0, $1) }
        case .safetensors: { LibFuzzer.feed(.safetensors, $0, $1) }
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
