import Cryptography
import Models
import Foundations
import Foundation
import Testing

@testable import Masking

@Suite final class MasterKeyFileTests {
  private let directory = FileManager.default.temporaryDirectory.appendingPathComponent("masking-\(UUID())")
  private let job = JobID.random()

  init() throws {
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
  }

  deinit {
    try? FileManager.default.removeItem(at: directory)
  }

  private func file(_ name: String = "master.key") -> MasterKeyFile {
    MasterKeyFile(path: directory.appendingPathComponent(name).path)
  }

  private func setMode(_ mode: Int, _ file: MasterKeyFile) throws {
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file.path)
  }

  private func firstWord(_ key: MasterKey) -> UInt64 {
    key.stream(SpaceID("input"), kind: "orthogonal").nextWord()
  }

  @Test func aKeyComesBackFromItsFile() throws {
    let key = MasterKey(for: job)
    try file().write(key)
    let read = try file().read(job: job)
    #expect(firstWord(read) == firstWord(key))
    #expect(firstWord(MasterKey(for: job)) != firstWord(key))
  }

  @Test func theFileIsForItsOwnerAlone() throws {
    try file().write(MasterKey(for: job))
    let attributes = try FileManager.default.attributesOfItem(atPath: file().path)
    #expect(attributes[.posixPermissions] as? Int == 0o600)
  }

  @Test func anExistingFileIsNotOverwritten() throws {
    try file().write(MasterKey(for: job))
    let before = try Data(contentsOf: URL(fileURLWithPath: file().path))
    #expect(throws: MaskingError.keyFileExists(path: file().path)) { try self.file().write(MasterKey(for: self.job)) }
    #expect(try Data(contentsOf: URL(fileURLWithPath: file().path)) == before)
  }

  /// No file may exceed 40 bytes there: the system then refuses writes as it does on a full disk.
  @Test func aFullDiskLeavesNoPartOfAKey() async throws {
    await #expect(processExitsWith: .success) { [path = file().path as String] in
      signal(SIGXFSZ, SIG_IGN)
      var limit = rlimit(rlim_cur: 40, rlim_max: 40)
      guard setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0 else { exit(10) }
      do {
        try MasterKeyFile(path: path).write(MasterKey())
        exit(11)
      } catch let error as MaskingError {
        guard error.kind == .exhausted else { exit(12) }
      }
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == [])
  }

  @Test(arguments: [0o640, 0o604, 0o660, 0o644, 0o620])
  func aFileOpenToOthersIsRefusedWithTheCommandToRun(mode: Int) throws {
    try file().write(MasterKey(for: job))
    try setMode(mode, file())
    let error = #expect(throws: MaskingError.self) { try self.file().read(job: self.job) }
    #expect(error == .keyFileExposed(path: file().path))
    #expect(error?.kind == .keyOrPermission)
    #expect(error?.description.contains("chmod 600 \(file().path)") == true)
  }

  @Test func aFileOfAnotherJobIsRefused() throws {
    try file().write(MasterKey(for: job))
    #expect(throws: MaskingError.keyFileOfAnotherJob(path: file().path)) { try self.file().read(job: JobID.random()) }
  }

  @Test(arguments: [0, 1, 79, 81, 4096]) func aFileOfTheWrongSizeIsRefused(size: Int) throws {
    try file().write(MasterKey(for: job))
    var content = try Data(contentsOf: URL(fileURLWithPath: file().path))
    content = content.prefix(size) + Data(repeating: 0, count: max(0, size - content.count))
    let other = file("other.key")
    try content.write(to: URL(fileURLWithPath: other.path))
    try setMode(0o600, other)
    #expect(throws: MaskingError.notAKeyFile(path: other.path)) { try other.read(job: self.job) }
  }

  @Test func aFileOfAnotherKindIsRefused() throws {
    try Data(repeating: 7, count: 80).write(to: URL(fileURLWithPath: file().path))
    try setMode(0o600, file())
    #expect(throws: MaskingError.notAKeyFile(path: file().path)) { try self.file().read(job: self.job) }
  }

  @Test func aNamedPipeIsRefusedWithoutWaiting() throws {
    #expect(mkfifo(file().path, 0o600) == 0)
    #expect(throws: MaskingError.notAKeyFile(path: file().path)) { try self.file().read(job: self.job) }
  }

  @Test func aMissingFileIsAKeyProblem() throws {
    let error = #expect(throws: MaskingError.self) { try self.file().read(job: self.job) }
    #expect(error?.kind == .keyOrPermission)
    #expect(error?.description.contains(file().path) == true)
  }

  @Test func aDirectoryThatIsMissingIsAKeyProblem() throws {
    let error = #expect(throws: MaskingError.self) { try self.file("none/master.key").write(MasterKey(for: self.job)) }
    #expect(error?.kind == .keyOrPermission)
  }

  @Test func descriptionsShowNothingOfTheKey() throws {
    let key = MasterKey(for: job)
    try file().write(key)
    let bytes = try Data(contentsOf: URL(fileURLWithPath: file().path)).suffix(32)
    let hexadecimal = bytes.map { String(format: "%02x", $0) }.joined()
    var dumped = ""
    dump(key, to: &dumped)
    for text in ["\(key)", String(reflecting: key), dumped] {
      #expect(text.contains("hidden"))
      #expect(!text.contains(hexadecimal.prefix(8)))
    }
    #expect(Mirror(reflecting: key).children.isEmpty)
  }

  @Test(arguments: [
    "", "0011", "00112233445566778899AABBCCDDEEFF", "00112233445566778899aabbccddeef/",
    "g0112233445566778899aabbccddeeff",
  ])
  func textThatIsNoJobIDIsRefused(text: String) {
    #expect(JobID(hex: text) == nil)
  }

  @Test func jobIDsAreFreshAndReadBack() {
    let fresh = JobID.random()
    #expect(JobID(hex: fresh.description) == fresh)
    #expect(fresh != JobID.random())
  }
}
