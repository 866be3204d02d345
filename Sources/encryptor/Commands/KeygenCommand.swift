import ArgumentParser
import Transport

struct KeygenCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keygen", abstract: "Make the owner's key pair.",
    discussion: """
      Writes DIR/owner.key (secret, mode 0600) and DIR/owner.pub. Give owner.pub to the provider, who lists it in the trainer's \
      --authorized file. An existing key is never overwritten.

      Example: encryptor keygen keys
      """)

  @Argument(help: "Directory to write to; made when missing.", completion: .directory)
  var directory: String

  func run() throws {
    let file = KeyFile(.owner, in: directory)
    let keys = try CurveKeyPair.generate()
    try file.create(keys)
    print("\(file.publicPath)  \(keys.publicKey.z85)")
  }
}
