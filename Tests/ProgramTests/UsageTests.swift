import Foundation
import Testing

/// Help, versions, and arguments that are wrong.
struct UsageTests {
  private static let commands: [(Program, [String])] = [
    (.encryptor, []), (.trainer, []), (.encryptor, ["keygen"]), (.encryptor, ["run"]), (.encryptor, ["submit"]),
    (.encryptor, ["status"]), (.encryptor, ["retrieve"]), (.encryptor, ["cancel"]), (.encryptor, ["predict"]),
    (.encryptor, ["verify"]), (.encryptor, ["plan"]), (.encryptor, ["inspect"]), (.trainer, ["keygen"]),
    (.trainer, ["serve"]), (.trainer, ["status"]), (.trainer, ["verify-log"]),
  ]

  @Test(arguments: commands.indices)
  func helpShowsAnExample(_ index: Int) throws {
    let (program, command) = Self.commands[index]
    let ended = try Site(keys: false).run(program, command + ["--help"])
    #expect(ended.code == 0)
    #expect(ended.errors == "")
    #expect(ended.output.contains("Example:"))
    #expect(ended.output.contains("USAGE: "))
    // The example is of this command.
    let name = ([program.rawValue] + command).joined(separator: " ")
    #expect(ended.output.components(separatedBy: "Example:").last?.contains(name) == true)
  }

  @Test(arguments: Program.allCases)
  func version(_ program: Program) throws {
    let ended = try Site(keys: false).run(program, ["--version"])
    #expect(ended.code == 0)
    #expect(ended.output.split(separator: ".").count == 3)
  }

  @Test(arguments: [
    ["frobnicate"], ["run"], ["plan", "a.yaml", "--frobnicate"], ["verify", "a.yaml", "--steps", "0"],
  ])
  func badArguments(_ arguments: [String]) throws {
    let ended = try Site(keys: false).run(.encryptor, arguments)
    #expect(ended.code == 2)
    #expect(ended.errors.hasPrefix("Error: "))
    #expect(ended.errors.hasSuffix("\n"))
    #expect(ended.output == "")
  }

  @Test(arguments: [["--memory-limit", "much"], ["--threads", "0"], ["--log-format", "xml"]])
  func badTrainerArguments(_ arguments: [String]) throws {
    let ended = try Site(keys: false).run(
      .trainer, ["serve", "--keys", "k", "--authorized", "a", "--store", "s"] + arguments)
    #expect(ended.code == 2)
    #expect(ended.errors.hasPrefix("Error: "))
  }

  @Test func anAddressThatIsNone() throws {
    let site = try Site()
    try site.run(
      .trainer,
      ["serve", "--keys", "trainer", "--authorized", "owners.txt", "--store", "store", "--bind", "localhost"]
    ).expectRefusal(2, saying: "'localhost' is not an address; write tcp://HOST:PORT", program: .trainer)
  }

  @Test func aPortInUse() throws {
    let site = try Site()
    let trainer = try site.startTrainer()
    try site.run(
      .trainer,
      ["serve", "--keys", "trainer", "--authorized", "owners.txt", "--store", "other", "--bind", trainer.endpoint]
    ).expectRefusal(2, saying: trainer.endpoint, "choose another", program: .trainer)
  }

  /// A full disk under redirected results is told, and not by a crash.
  @Test(arguments: Program.allCases) func resultsThatCannotBeWritten(_ program: Program) throws {
    let site = try Site(keys: false)
    let ended = try site.run(program, ["--help"], largestFile: 512)
    #expect(ended.code == 8)
    #expect(ended.errors.hasPrefix("\(program.rawValue): cannot write standard output"))
  }

  /// What asks a trainer's store is read by scripts, which go by the exit code.
  @Test(arguments: [StandardOutputPlace.fullDevice, .closed])
  func answersAboutAStoreThatCannotBeWritten(_ output: StandardOutputPlace) throws {
    let site = try Site()
    let trainer = try site.startTrainer()
    trainer.process.signal(SIGTERM)
    #expect(try trainer.process.wait() == 0)
    for command in [["verify-log", "store"], ["status", "--store", "store"]] {
      #expect(try site.run(.trainer, command).code == 0)
      try site.run(.trainer, command, output: output)
        .expectRefusal(8, saying: "cannot write standard output", program: .trainer)
    }
  }
}
