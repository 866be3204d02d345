import Foundation
import Testing

/// A directory with keys of an owner and a trainer, a small data file and a job, and the programs that run in it. Everything ends and
/// goes with it.
final class Site {
  let path: String
  private var children: [ChildProcess] = []

  init(keys: Bool = true) throws {
    path = FileManager.default.temporaryDirectory.appending(path: "programs-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    guard keys else { return }
    #expect(try encryptor("keygen", "owner").code == 0)
    #expect(try run(.trainer, ["keygen", "trainer"]).code == 0)
    try authorizeOwner()
  }

  deinit {
    children = []
    try? FileManager.default.removeItem(atPath: path)
  }

  subscript(_ name: String) -> String { path + "/" + name }

  // MARK: Files

  func write(_ text: String, to name: String) throws {
    try Data(text.utf8).write(to: URL(filePath: self[name]))
  }

  func bytes(_ name: String) throws -> Data {
    try Data(contentsOf: URL(filePath: self[name]))
  }

  func exists(_ name: String) -> Bool {
    FileManager.default.fileExists(atPath: self[name])
  }

  func text(_ name: String) -> String {
    (try? String(contentsOfFile: self[name], encoding: .utf8)) ?? ""
  }

  func setMode(_ mode: mode_t, of name: String) {
    chmod(self[name], mode)
  }

  /// The list of owners that the trainer admits.
  func authorizeOwner(_ isListed: Bool = true) throws {
    let key = text("owner/owner.pub").split(separator: "\n").last ?? ""
    try write(isListed ? "# owners\n\(key)  # this one\n" : "# nobody\n", to: "owners.txt")
  }

  // MARK: Programs

  @discardableResult
  func start(
    _ program: Program, _ arguments: [String], largestFile: Int? = nil, output: StandardOutputPlace = .kept,
    environment: [String: String] = [:]
  ) throws -> ChildProcess {
    let child = try ChildProcess(
      program, arguments, directory: path, workingDirectory: path, largestFile: largestFile, output: output,
      environment: environment)
    children.append(child)
    return child
  }

  func run(
    _ program: Program, _ arguments: [String], largestFile: Int? = nil, output: StandardOutputPlace = .kept,
    seconds: Double = 300
  ) throws -> Ended {
    try end(try start(program, arguments, largestFile: largestFile, output: output), seconds: seconds)
  }

  func end(_ child: ChildProcess, seconds: Double = 300) throws -> Ended {
    let code = try child.wait(seconds: seconds)
    children.removeAll { $0 === child }
    return Ended(code: code, output: child.output, errors: child.errors)
  }

  func encryptor(_ arguments: String...) throws -> Ended {
    try run(.encryptor, arguments)
  }

  /// A trainer that is ready.
  func startTrainer(
    bind: String = "tcp://127.0.0.1:0", store: String = "store", largestFile: Int? = nil,
    environment: [String: String] = [:], _ options: String...
  ) throws -> RunningTrainer {
    let child = try start(
      .trainer,
      ["serve", "--keys", "trainer", "--authorized", "owners.txt", "--store", store, "--bind", bind, "--threads", "1"]
        + options, largestFile: largestFile, environment: environment)
    _ = Waiting.until(30) { child.output.contains("\n") || child.hasEnded }
    let line = child.output.split(separator: "\n").first ?? ""
    try #require(line.hasPrefix("listening tcp://"), "\(child.output)\(child.errors)")
    return RunningTrainer(process: child, endpoint: String(line.dropFirst("listening ".count)))
  }

  /// A trainer that connects to owners; it has written its address to the store.
  func startConnectingTrainer(
    to owners: String..., keys: String = "trainer", store: String = "store", options: [String] = [],
    environment: [String: String] = [:]
  ) throws -> ChildProcess {
    let child = try start(
      .trainer,
      ["serve", "--keys", keys, "--authorized", "owners.txt", "--store", store, "--threads", "1"]
        + owners.flatMap { ["--connect", $0] } + options, environment: environment)
    _ = Waiting.until(30) { child.output.contains("\n") || child.hasEnded }
    try #require(child.output.contains("connecting \(owners[0])"), "\(child.output)\(child.errors)")
    return child
  }

  /// Arguments of `run` or `submit`.
  func launch(
    _ command: String = "run", job: String = "job.yaml", out: String = "run", trainer: String, _ options: [String] = []
  ) -> [String] {
    [
      command, job, "--keys", "owner", "--trainer-key", "trainer/trainer.pub", "--out", out, "--threads", "1", "--set",
      "trainer=\(trainer)",
    ] + options
  }

  /// An address where nobody listens.
  static func unusedEndpoint() -> String {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        _ = bind(descriptor, $0, length)
        _ = getsockname(descriptor, $0, &length)
      }
    }
    return "tcp://127.0.0.1:\(UInt16(bigEndian: address.sin_port))"
  }
}

/// A trainer that has said where it listens.
struct RunningTrainer {
  let process: ChildProcess
  let endpoint: String
}

/// A job that trains in well under a second, with single keys changed.
struct JobText {
  var task = "classification"
  var file = "data.h5"
  var features = "x"
  var labels = "y"
  var hidden = "[3]"
  var loss = "owner"
  var epochs = 2
  var batch = 16
  var keep = "best"
  var standardize = false
  var extra = ""

  var text: String {
    """
    name: tiny
    data:
      file: \(file)
      features: \(features)
      labels: \(labels)
      split: {validation: 0.25, seed: 7}
      standardize: \(standardize)
    task: \(task)
    model:
      mlp: {hidden: \(hidden), activation: relu}
    masking: {strength: rotation, padding: 1}
    loss: {where: \(loss)}
    optimizer: {name: sgd, lr: 0.05, momentum: 0.9}
    train: {epochs: \(epochs), batch: \(batch), micro_batch: \(min(8, batch)), seed: 1, keep: \(keep)}
    checkpoint: {every_steps: 5}
    \(extra)
    """
  }
}

/// A file system of a megabyte or so, in memory, for as long as this lives; only the superuser can mount one.
final class SmallDisk {
  private let path: String
  private var filling: String { path + "/filling" }

  static let isPossible: Bool = {
    let path = FileManager.default.temporaryDirectory.appending(path: "disk-\(UUID().uuidString)").path
    defer { rmdir(path) }
    guard mkdir(path, 0o700) == 0, mount("tmpfs", path, "tmpfs", 0, "size=4096") == 0 else { return false }
    umount2(path, 0)
    return true
  }()

  init(at path: String, bytes: Int) throws {
    self.path = path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    try #require(mount("tmpfs", path, "tmpfs", 0, "size=\(bytes)") == 0)
  }

  deinit {
    umount2(path, Int32(MNT_DETACH))
  }

  /// Takes every byte that is left. No child of another test may inherit the file: it would keep its bytes.
  func fill() throws {
    let descriptor = open(filling, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    let block = [UInt8](repeating: 0, count: 4096)
    while write(descriptor, block, block.count) > 0 {}
  }

  func makeReadOnly() throws {
    try #require(mount("tmpfs", path, "tmpfs", UInt(MS_REMOUNT | MS_RDONLY), nil) == 0)
  }

  func empty() {
    unlink(filling)
  }
}
