import ArgumentParser
import Foundation
import OwnerRole

struct ConvertCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert", abstract: "Make a checkpoint that jobs read of one in PyTorch's own files.",
    discussion: """
      Writes pytorch_model.bin, in several files too, as safetensors, gives tensors the names of today, says in config.json which family it is where \
      that is missing, and copies the tokenizer. A .bin file is a pickle, which can hold code: nothing of it is executed, and a file that holds more than \
      tensors is refused (exit 3).

      Done by Python, with PyTorch and safetensors: by the program that EQUIVARIANT_PYTHON names, else the project's .venv.

      Example: encryptor convert biobert-base-cased --out biobert
      """)

  @Argument(help: "The checkpoint's directory.", completion: .directory)
  var checkpoint: String

  @Option(name: .customLong("out"), help: "A new directory.", completion: .directory)
  var output: String

  @Option(
    help: ArgumentHelp(
      "The family, where config.json does not say it and the tensors' names do not tell.", valueName: "name"))
  var modelType: String?

  func run() throws {
    let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().path
    let family = modelType.map { ["--model-type=\($0)"] } ?? []
    // A path that begins with a dash is none of the script's options.
    try PythonStep("convert.py", program: program).become(family + ["--out=\(output)", "--", checkpoint])
  }
}
