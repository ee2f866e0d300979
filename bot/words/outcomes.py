"""The texts of what comes of a job, by the names that engine and bot give to it: how it ends badly, what was found, how
its pictures were made, and what is wrong with an upload.
"""

from __future__ import annotations

from bot.words.marks import N_, Many

OUTCOMES: dict[str, str | Many] = {
    # What the engine finds wrong with a picture that it works on.
    "input_pixels": N_("A picture of {width}x{height} pixels is too large: give a smaller one."),
    "input_size": N_("The picture has another size than it was said to have: try again."),
    "input_broken": N_("The picture is broken: give it once more."),
    "input_lost": N_("The picture is gone, or did not arrive whole: give it once more."),
    "input_unreadable": N_("The picture cannot be read from this machine's disk: try again later."),
    "nothing_marked": N_("Nothing is marked to be painted: name something else, or give another mask."),
    # How jobs end badly.
    "cancelled": N_("Cancelled."),
    "input_flagged": N_("The safety checker held your picture back, and it errs at times: use another picture."),
    "not_checked": N_(
        "The safety checker could not look at this: try again in a moment, or tell whoever runs this bot."
    ),
    "flagged": N_("The safety checker held this back, and it errs at times: try other words or another seed."),
    "no_numbers": N_(
        "Nothing came of it, the model's numbers grew beyond all bounds: try another sampler, less guidance, or"
        " another model."
    ),
    "nothing_to_see": N_("There is nothing to be seen."),
    "lora_broken": N_("The LoRA {lora} is broken, it holds what is no number: leave it out."),
    "lora_file_gone": N_(
        "The file of the LoRA {lora} is not there any more: leave it out. Its owner can have it made again."
    ),
    "lora_unusable": N_(
        "The LoRA {lora} cannot be used with {model} here: leave it out. The operator can see why in the log."
    ),
    "control_unusable": N_(
        "The ControlNet {control} cannot be used with {model} here: leave it out. The operator can see why in the log."
    ),
    "embedding_unusable": N_(
        "The embedding {embedding} cannot be used with {model} here: leave it out. The operator can see why in the log."
    ),
    "upscaler_makes_nothing": N_("{model} makes nothing of this picture: choose another upscaler."),
    "restorer_makes_nothing": N_("{model} makes nothing of a face of this picture: leave `faces` out."),
    "not_here": N_("{name} is not on this machine: choose another one."),
    "not_loaded": N_("This model does not load here: choose another one. The operator can see why in the log."),
    "not_encoded": N_("The pictures could not be encoded: try again."),
    "answer_too_large": N_("The answer is too large to be sent: ask for less at once, or give a simpler picture."),
    "disk_full": N_("The result could not be kept, the disk of the machine is full: try again later."),
    "disk_failed": N_("The result could not be kept, the machine cannot write its files: try again later."),
    "engine_broke": N_("Something broke inside the engine: try again."),
    "card_failed": N_("The graphics card failed and is being started again: try again."),
    # Memory.
    "no_room": N_("{name} does not fit into the device's memory: choose another one."),
    "no_room_beside": N_("{name} does not fit beside what is being painted: try again later."),
    "memory_for_size": N_("{width}x{height} does not fit into the device's memory: try {smaller}."),
    "memory_full": N_(
        "The device's memory is full and {width}x{height} is the smallest size of {model}: try again later."
    ),
    "memory_for_references": Many(
        "{count} picture to look at beside one of {width}x{height} does not fit into the device's memory with {model}:"
        " leave some out.",
        "{count} pictures to look at beside one of {width}x{height} do not fit into the device's memory with {model}:"
        " leave some out.",
        "count",
    ),
    "memory_for_hires": N_("A second pass at {width}x{height} does not fit into the device's memory: try {smaller}."),
    "memory_for_any_hires": N_(
        "A second pass at {width}x{height} does not fit into the device's memory: leave it out."
    ),
    "memory_for_upscale": N_(
        "{width}x{height} does not fit into this machine's memory with {model}: try a smaller picture."
    ),
    "memory_for_tool": N_("The device's memory is full, {model} does not run now: try again later."),
    "memory_for_comparison": N_("The device's memory is full, nothing can be compared now: try again later."),
    # What was found, and how pictures were made.
    "no_text_there": N_("There is no text to be read."),
    "nothing_like_it": N_("Nothing like {typed} was found."),
    "nothing_there": N_("Nothing was found."),
    "no_words_for_it": N_("The model found no words for it."),
    "weights_left_out": N_("{model} does not weigh words: the weights were left out."),
    "lora_not_drawn": N_("The LoRA {typed}, which was drawn, is none for {model} here: it was left out."),
    "lora_left_out": N_("The LoRA {typed} was left out: {most} at once are the most."),
    "no_such_embedding": N_("There is no embedding called {typed} for {model} here: it was left out."),
    "never_seen": N_("{model} has never seen: {words}. It knows no more of them than their letters."),
    "no_such_wildcard": N_("There is no wildcard called {typed} here: it was left out."),
    "words_not_changed": N_("{model} cannot change its words between the steps: those of the first step were painted."),
    "words_not_broken": N_("{model} reads all words at once: BREAK was left out."),
    "words_not_joined": N_("{model} cannot weigh whole prompts here: what AND joins was read as one."),
    "tags_in_negative": N_("LoRAs work from the prompt alone: those of the negative prompt were left out."),
    "rescale_left_out": N_("{model} cannot rescale its guidance for this: it was painted without."),
    "no_faces": N_("No face was found that could be restored."),
    "other_weights": N_(
        "The picture that this comes from was painted with other weights of this model ({weights}): the same seed gives"
        " another one now."
    ),
    "made_before": N_("The same was made before: this is it."),
    "made_before_by": N_("Job #{job} made the same before: this is it."),
    "painted_in_tiles": N_("The memory was full, so this was decoded in tiles."),
    "painted_by_parts": N_("The memory was full, so this was painted with one part of the model at a time."),
    "painted_by_layers": N_("The memory was full, so this was painted with one layer of the model at a time."),
    "draft": N_("This is a draft: {skipped} of {steps} steps were foretold from those before them."),
    "draft_sampler": N_("A draft leaves no step out with {sampler}: this was painted whole."),
    "draft_steps": N_("A draft leaves none of so few steps out: this was painted whole."),
    # What the bot counts.
    "waiting_of_member": Many(
        "You have {count} job waiting, which is the most for one member: wait for it to start, or cancel it.",
        "You have {count} jobs waiting, which is the most for one member: wait for one to start, or cancel one.",
        "count",
    ),
    "waiting_of_all": Many(
        "{count} job is waiting already: try again in a few minutes.",
        "{count} jobs are waiting already: try again in a few minutes.",
        "count",
    ),
    "set_aside": Many(
        "This job stopped the engine {times} time and was set aside: try a smaller picture or fewer of them, or tell"
        " whoever runs this bot.",
        "This job stopped the engine {times} times and was set aside: try a smaller picture or fewer of them, or tell"
        " whoever runs this bot.",
        "times",
    ),
    "no_such_picture": Many(
        "Job {job} has {count} picture: there is no number {number}.",
        "Job {job} has {count} pictures: there is no number {number}.",
        "count",
    ),
    # What is wrong with an upload, where it depends on a number.
    "upload_scans": Many(
        "This JPEG is drawn in more than {most} pass: save it again, not progressive, and upload that.",
        "This JPEG is drawn in more than {most} passes: save it again, not progressive, and upload that.",
        "most",
    ),
    "upload_bomb": Many(
        "This picture is larger than it says: {most} million pixels are the most, so make it smaller.",
        "This picture is larger than it says: {most} million pixels are the most, so make it smaller.",
        "most",
    ),
    "upload_pixels": Many(
        "This picture has {width}x{height} pixels and {most} million are the most: make it smaller.",
        "This picture has {width}x{height} pixels and {most} million are the most: make it smaller.",
        "most",
    ),
}
