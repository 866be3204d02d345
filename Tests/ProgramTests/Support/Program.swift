import Foundation

/// The programs as they were built, beside the tests themselves.
enum Program: String, CaseIterable {
  case encryptor
  case trainer

  /// `swift test` builds every product into the directory of the test bundle, which is the running executable.
  var path: String {
    let tests =
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    return (tests as NSString).deletingLastPathComponent + "/" + rawValue
  }
}
