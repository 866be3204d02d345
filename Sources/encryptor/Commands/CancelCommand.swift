import ArgumentParser
import OwnerSession
import Wire

struct CancelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cancel", abstract: "Stop a job and remove it from the trainer.",
    discussion: "Example: encryptor cancel runs/pbmc")

  @OptionGroup var selected: RunDirectoryOption
  @OptionGroup var waiting: PatienceOption
  @OptionGroup var place: ListenOption

  func run() throws {
    let opened = try selected.open()
    guard opened.state.phase != .finished else { throw OwnerError.run("the run is finished; nothing to cancel") }
    let connection = try opened.greet(listen: place.listen, patience: waiting.patience)
    defer { connection.close() }
    try connection.send(.cancel)
    try connection.waitFor { message in
      if case .removed = message { return true }
      return nil as Bool?
    }
    // As it is now: a process that still works on the run looks at it before it goes on.
    var state = try RunState.load(opened.directory)
    state.phase = .cancelled
    try state.save(opened.directory)
    print("cancelled")
  }
}
