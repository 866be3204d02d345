import CZeroMQ
import Foundation
import Foundations
import Glibc
import TestSupport
import Testing

@testable import Protocol

@Suite("Key files")
struct KeyFileTests {
  private func keyFailure<Result>(_ call: () throws -> Result) -> KeyFileError? {
    do {
      _ = try call()
      return nil
    } catch {
      return error as? KeyFileError
    }
  }

  private func mode(_ path: String) throws -> Int {
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    return try #require(attributes[.posixPermissions] as? Int)
  }

  @Test func aPairIsReadBackAsItWasWritten() throws {
    let directory = try TemporaryDirectory()
    let file = KeyFile(.owner, in: directory.path + "/keys")
    let pair = try CurveKeyPair.generate()
    try file.create(pair)
    let read = try file.readKeyPair()
    #expect(read.publicKey == pair.publicKey)
    #expect(read.withSecretBytes { Array($0) } == pair.withSecretBytes { Array($0) })
    #expect(try KeyFile.readPublicKey(at: file.publicPath) == pair.publicKey)
    #expect(file.secretPath.hasSuffix("/keys/owner.key"))
    #expect(file.publicPath.hasSuffix("/keys/owner.pub"))
    #expect(try mode(file.secretPath) == 0o600)
  }

  @Test func aTrainersFilesHaveItsName() throws {
    let directory = try TemporaryDirectory()
    let file = KeyFile(.trainer, in: directory.path)
    try file.create(.generate())
    #expect(FileManager.default.fileExists(atPath: directory.path + "/trainer.key"))
    #expect(FileManager.default.fileExists(atPath: directory.path + "/trainer.pub"))
  }

  @Test(arguments: [0o640, 0o604, 0o620, 0o644, 0o601])
  func aSecretFileOpenToOthersIsRefused(mode: Int) throws {
    let directory = try TemporaryDirectory()
    let file = KeyFile(.owner, in: directory.path)
    try file.create(.generate())
    #expect(chmod(file.secretPath, mode_t(mode)) == 0)
    let error = try #require(keyFailure { try file.readKeyPair() })
    #expect(error == .readableByOthers(path: file.secretPath))
    #expect(error.kind == .keyOrPermission)
    #expect(error.description.contains("chmod 600 '\(file.secretPath)'"))
  }

  @Test func anExistingKeyIsNeverOverwritten() throws {
    let directory = try TemporaryDirectory()
    let file = KeyFile(.owner, in: directory.path)
    try file.create(.generate())
    let before = try Data(contentsOf: URL(fileURLWithPath: file.secretPath))
    #expect(keyFailure { try file.create(.generate()) } == .alreadyExists(path: file.secretPath))
    #expect(try Data(contentsOf: URL(fileURLWithPath: file.secretPath)) == before)
  }

  @Test func anExistingPublicKeyIsNeverOverwrittenAndNoSecretIsLeft() throws {
    let directory = try TemporaryDirectory()
    let existing = try directory.write("owner.pub", "mine", mode: 0o644)
    let file = KeyFile(.owner, in: directory.path)
    #expect(keyFailure { try file.create(.generate()) } == .alreadyExists(path: existing))
    #expect(try String(contentsOfFile: existing, encoding: .utf8) == "mine")
    #expect(!FileManager.default.fileExists(atPath: file.secretPath))
  }

  /// No file may exceed 16 bytes there: the system then refuses writes as it does on a full disk.
  @Test func aFullDiskLeavesNoPartOfAKey() async throws {
    let directory = try TemporaryDirectory()
    await #expect(processExitsWith: .success) { [path = directory.path as String] in
      signal(SIGXFSZ, SIG_IGN)
      var limit = rlimit(rlim_cur: 16, rlim_max: 16)
      guard setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0 else { exit(10) }
      do {
        try KeyFile(.owner, in: path).create(.generate())
        exit(11)
      } catch let error as KeyFileError {
        guard error.kind == .exhausted else { exit(12) }
      }
    }
    #expect(try directory.names == [])
  }

  @Test func aDirectoryThatIsMissingAboveTheKeysIsNamed() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/absent/keys"
    let error = keyFailure { try KeyFile(.owner, in: path).create(.generate()) }
    #expect(error == .system(operation: "create", path: path, code: ENOENT))
  }

  @Test func aDanglingLinkIsNotWrittenThrough() throws {
    let directory = try TemporaryDirectory()
    let target = directory.path + "/elsewhere"
    #expect(symlink(target, directory.path + "/owner.key") == 0)
    let file = KeyFile(.owner, in: directory.path)
    #expect(keyFailure { try file.create(.generate()) } == .alreadyExists(path: file.secretPath))
    #expect(!FileManager.default.fileExists(atPath: target))
  }

  @Test func aLinkToASecretFileIsFollowed() throws {
    let directory = try TemporaryDirectory()
    let original = KeyFile(.owner, in: directory.path + "/a")
    let pair = try CurveKeyPair.generate()
    try original.create(pair)
    #expect(symlink(original.secretPath, directory.path + "/owner.key") == 0)
    #expect(try KeyFile(.owner, in: directory.path).readKeyPair().publicKey == pair.publicKey)
  }

  @Test func aMissingFileIsNamed() throws {
    let directory = try TemporaryDirectory()
    let file = KeyFile(.owner, in: directory.path)
    #expect(keyFailure { try file.readKeyPair() } == .missing(path: file.secretPath))
    #expect(keyFailure { try KeyFile.readPublicKey(at: file.publicPath) } == .missing(path: file.publicPath))
  }

  @Test func aDirectoryOrPipeIsNotReadAsAKey() throws {
    let directory = try TemporaryDirectory()
    #expect(
      keyFailure { try KeyFile.readPublicKey(at: directory.path) } == .notARegularFile(path: directory.path))
    let pipe = directory.path + "/owner.key"
    #expect(mkfifo(pipe, 0o600) == 0)
    #expect(keyFailure { try KeyFile(.owner, in: directory.path).readKeyPair() } == .notARegularFile(path: pipe))
  }

  @Test(arguments: [
    ("", "40 characters"),
    ("# only a comment\n", "40 characters"),
    (String(repeating: "0", count: 39) + "\n", "39 characters"),
    (String(repeating: "0", count: 41) + "\n", "41 characters"),
    (String(repeating: "~", count: 40) + "\n", "not z85"),
    (String(repeating: "0", count: 40) + "\n" + String(repeating: "1", count: 40) + "\n", "more than one"),
    (String(repeating: " ", count: 20_000), "longer"),
  ])
  func aMalformedSecretFileIsRefused(content: String, reason: String) throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write("owner.key", content)
    let error = try #require(keyFailure { try KeyFile(.owner, in: directory.path).readKeyPair() })
    guard case .malformed(path, let told) = error else {
      Issue.record("unexpected \(error)")
      return
    }
    #expect(told.contains(reason))
    #expect(error.kind == .keyOrPermission)
  }

  @Test func commentsBlankLinesAndWindowsLineEndsAreAllowed() throws {
    let directory = try TemporaryDirectory()
    let key = try CurveKeyPair.generate().publicKey
    let path = try directory.write("x.pub", "# a\r\n\r\n \t\r\n  \(key.z85) \r\n# b")
    #expect(try KeyFile.readPublicKey(at: path) == key)
  }

  @Test func aListOfAuthorizedKeysIsRead() throws {
    let directory = try TemporaryDirectory()
    let keys = try (0..<3).map { _ in try CurveKeyPair.generate().ownerKey }
    let content = "# owners\n\(keys[0])\n\n  \(keys[1])   # the clinic\r\n\(keys[0])\n\(keys[2])"
    let path = try directory.write("authorized", content, mode: 0o644)
    #expect(try AuthorizedKeys.read(at: path) == AuthorizedKeys(Set(keys)))
    #expect(try AuthorizedKeys.parse(fileContents: "") == AuthorizedKeys([]))
  }

  @Test func anUnusableLineOfAuthorizedKeysIsNamedByItsNumber() throws {
    let key = try CurveKeyPair.generate().ownerKey
    for (content, line) in [
      ("# owners\n\(key)\nnonsense\n", 3), ("\(key) \(key)", 1), ("\n\(key)x", 2), ("\(key) alice", 1),
    ] {
      guard case .unusableLine(line, _, _) = keyFailure({ try AuthorizedKeys.parse(fileContents: content) }) else {
        Issue.record("accepted or misnumbered: \(content)")
        continue
      }
    }
  }

  /// Some editors begin a file with one.
  @Test func aByteOrderMarkBeforeTheListIsAllowed() throws {
    let directory = try TemporaryDirectory()
    let key = try CurveKeyPair.generate().ownerKey
    for content in ["\u{FEFF}\(key)\n", "\u{FEFF}# owners\r\n\(key)\r\n"] {
      let path = try directory.write("authorized", content)
      #expect(try AuthorizedKeys.read(at: path) == AuthorizedKeys([key]))
    }
  }

  /// keygen makes no such file.
  @Test func aMissingListIsNotCalledAKey() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/authorized"
    let error = try #require(keyFailure { try AuthorizedKeys.read(at: path) })
    #expect(error == .missingList(path: path))
    #expect(error.kind == .keyOrPermission)
    #expect(error.description.contains("list of owners") && !error.description.contains("keygen"))
  }

  @Test func aListThatIsNotTextIsRefused() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/authorized"
    try Data([0xff, 0xfe, 0x00]).write(to: URL(fileURLWithPath: path))
    #expect(keyFailure { try AuthorizedKeys.read(at: path) } == .malformed(path: path, reason: "it is not UTF-8 text"))
  }

  @Test func coreDumpsCanBeForbidden() throws {
    try ProcessHardening.disableCoreDumps()
    var limit = rlimit()
    #expect(getrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit) == 0)
    #expect(limit.rlim_cur == 0)
    #expect(limit.rlim_max == 0)
    #expect(czmq_dumpable() == 0)
  }
}

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
