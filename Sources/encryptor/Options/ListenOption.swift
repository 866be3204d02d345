import ArgumentParser

/// For trainers that can only dial out.
struct ListenOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Wait here for the trainer, started with --connect, instead of connecting to it; port 0 picks one.",
      valueName: "address"))
  var listen: String?
}
