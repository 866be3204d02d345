import Foundations
import Testing

@testable import Protocol

/// Limits in the list of owners.
struct OwnerLimitLineTests {
  private let key: OwnerKey

  init() throws {
    key = try CurveKeyPair.generate().ownerKey
  }

  private func limits(_ words: String) throws -> OwnerLimits? {
    try AuthorizedKeys.parse(fileContents: "\(key) \(words)\n").limits[key]
  }

  @Test func limitsAreRead() throws {
    #expect(
      try limits("memory=4G disk=20G queue=2 # the clinic, memory=1G")
        == OwnerLimits(memory: 4 << 30, disk: 20 << 30, queue: 2))
    #expect(try limits("queue=1 memory=500m") == OwnerLimits(memory: 500 << 20, queue: 1))
    #expect(try limits("disk=1073741824") == OwnerLimits(disk: 1 << 30))
    #expect(try limits("") == OwnerLimits())
    #expect(try limits("# memory=4G") == OwnerLimits())
  }

  @Test(arguments: [
    ("memory=", "memory takes a size"), ("memory=much", "memory takes a size"), ("disk=0", "disk takes a size"),
    ("disk=-1G", "disk takes a size"), ("memory=4GB", "memory takes a size"),
    ("memory=9000000T", "memory takes a size"),
    ("disk=1.5G", "disk takes a size"), ("queue=0", "queue takes a number"), ("queue=1K", "queue takes a number"),
    ("queue=+1", "queue takes a number"), ("queue=99999999999999999999", "queue takes a number"),
    ("mem=4G", "'mem' is no limit"), ("Memory=4G", "'Memory' is no limit"), ("queue=1 queue=1", "given twice"),
    ("memory = 4G", "one key per line"), ("alice queue=2", "one key per line"), ("=4G", "is no limit"),
  ])
  func aLimitThatCannotBeReadNamesItsLine(_ words: String, _ reason: String) throws {
    let error = #expect(throws: KeyFileError.self) {
      try AuthorizedKeys.parse(fileContents: "# owners\n\n\(key) \(words)\n", path: "owners.txt")
    }
    guard case .unusableLine(3, "owners.txt", let told) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(told.contains(reason), "\(told)")
    #expect(error?.kind == .keyOrPermission)
  }

  @Test func aKeyListedTwiceWithOtherLimitsIsRefused() throws {
    #expect(try AuthorizedKeys.parse(fileContents: "\(key) queue=1\n\(key) queue=1\n").limits.count == 1)
    let error = #expect(throws: KeyFileError.self) {
      try AuthorizedKeys.parse(fileContents: "\(key) queue=1\n\(key)\n", path: "owners.txt")
    }
    #expect(error?.description.contains("owners.txt, line 2") == true)
  }
}
