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
