import ArgumentParser
import Transport

struct KeygenCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keygen", abstract: "Make the trainer's key pair.",
    discussion: """
      Writes DIR/trainer.key (secret, mode 0600) and DIR/trainer.pub. Owners pin trainer.pub with --trainer-key. An existing key is never \
      overwritten.

      Example: trainer keygen keys
      """)

  @Argument(help: "Directory to write to; made when missing.", completion: .directory)
  var directory: String

  func run() throws {
    let file = KeyFile(.trainer, in: directory)
    let keys = try CurveKeyPair.generate()
    try file.create(keys)
    print("\(file.publicPath)  \(keys.publicKey.z85)")
  }
}
