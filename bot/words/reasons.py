"""The texts of reasons by their names: what the one rule finds wrong, what the engine says of a job, and what the bot
counts by itself. All else that the bot finds wrong is called by its text.
"""

from __future__ import annotations

from bot.words.marks import N_, Many

TEXTS: dict[str, str | Many] = {
    # What is there.
    "no_model": N_("There is no model called {typed}: choose one of {choices}."),
    "no_weights": N_(
        "The weights of {typed} are not on this machine yet: ask whoever runs this bot to fetch them, or choose"
        " another model."
    ),
    "no_upscalers": N_("No upscaler is on this machine: ask whoever runs this bot to fetch one."),
    "no_upscaler": N_("There is no upscaler called {typed}: choose one of {choices}."),
    "no_restorers": N_("Nothing on this machine restores faces: leave `faces` out."),
    "no_restorer": N_("Nothing called {typed} restores faces here: choose one of {choices}."),
    "no_describers": N_("No describer is on this machine: ask whoever runs this bot to fetch one."),
    "no_describer": N_("There is no describer called {typed}: choose one of {choices}."),
    "no_classifiers": N_("No classifier is on this machine: ask whoever runs this bot to fetch one."),
    "no_classifier": N_("There is no classifier called {typed}: choose one of {choices}."),
    "no_loras": N_("There is no LoRA for {model} here: leave `lora` out."),
    "no_lora": N_("There is no LoRA called {typed} here: choose one of {choices}."),
    "lora_of_others": N_("The LoRA {typed} does not go with {model}: leave `lora` out, or choose another one."),
    "no_controls": N_("There is no ControlNet for {model} here: leave `control_image` out."),
    "no_control": N_("There is no ControlNet called {typed} here: choose one of {choices}."),
    "control_of_others": N_(
        "The ControlNet {typed} does not go with {model}: leave `control_image` out, or choose another one."
    ),
    "no_refiner": N_("The refiner {typed} is not here any more: ask for a new picture instead."),
    # Words.
    "no_prompt": N_("The prompt is empty: say what the picture should show."),
    "prompt_chars": Many(
        "The prompt has {chars} character and {most} is the most: shorten it.",
        "The prompt has {chars} characters and {most} is the most: shorten it.",
        "chars",
    ),
    "no_negative": N_("{model} takes no negative prompt: leave it out, or choose another model."),
    "negative_chars": Many(
        "The negative prompt has {chars} character and {most} is the most: shorten it.",
        "The negative prompt has {chars} characters and {most} is the most: shorten it.",
        "chars",
    ),
    "styled_chars": Many(
        "The prompt has {chars} character with the words of its style and {most} is the most: shorten it.",
        "The prompt has {chars} characters with the words of its style and {most} is the most: shorten it.",
        "chars",
    ),
    "weighed_parts": Many(
        "{count} part of the prompt is weighed and {most} is the most: weigh fewer.",
        "{count} parts of the prompt are weighed and {most} is the most: weigh fewer.",
        "count",
    ),
    "word_weight": N_(
        "The weight {value} of {typed} does not fit: choose 0 to {most}, or write \\( and \\) where you mean brackets."
    ),
    # Steps.
    "no_sampler": N_("{model} has no sampler called {typed}: choose one of {choices}."),
    "steps": N_("Steps {value} does not fit: choose a number from {least} to {most}."),
    "guidance": N_("Guidance {value} does not fit: choose a number from {least} to {most}."),
    "no_guidance": N_("{model} takes no guidance: leave it out, or choose another model."),
    "count": N_("Count {value} does not fit: choose a number from {least} to {most}."),
    "refiner_share": N_(
        "A refiner takes a share of the steps between 0 and 1, not {value}: ask for a new picture instead."
    ),
    "seed": N_("Seed {typed} is not a whole number from 0 to {most}: leave it out for a new one."),
    "variations": Many(
        "At most {most} variation can be made of variations: start from a new seed.",
        "At most {most} variations can be made of variations: start from a new seed.",
        "most",
    ),
    "variation_strength": N_(
        "The strength {value} of a variation does not fit: choose a number from {least} to {most}."
    ),
    # Sizes.
    "width": N_(
        "Width {value} does not fit {model}: choose a multiple of {multiple} from {least} to {most}, for example"
        " {near}."
    ),
    "height": N_(
        "Height {value} does not fit {model}: choose a multiple of {multiple} from {least} to {most}, for example"
        " {near}."
    ),
    "pixels": Many(
        "{width}x{height} is too large for {model}, which paints up to {most} pixel in all: choose a smaller width"
        " or height.",
        "{width}x{height} is too large for {model}, which paints up to {most} pixels in all: choose a smaller width"
        " or height.",
        "most",
    ),
    # From pictures.
    "strength": N_("Strength {value} does not fit: choose a number from {least} to {most}."),
    "strength_of_nothing": N_("Strength says how far to go from a picture: give one as `image`, or leave it out."),
    "mask_of_nothing": N_("A mask says which part of a picture is painted: give the picture too."),
    "mask_size": N_("The mask has another size than the picture: give one of the same size."),
    "hires_of_mask": N_("Where a part of a picture is painted there is no second pass: leave `hires` out."),
    "hires_strength": N_("Hires strength {value} does not fit: choose a number from {least} to {most}."),
    "hires_side": N_("{model} paints sizes in steps of {multiple} pixels: choose another hires."),
    "hires_smaller": N_("A second pass paints no smaller pictures than the first: choose a hires of 1 or more."),
    "hires_pixels": N_(
        "A second pass at {width}x{height} is too large for {model}: choose a hires of {factor} or less, or a"
        " smaller width or height."
    ),
    # LoRAs and ControlNets.
    "loras": Many(
        "{count} LoRA is too many: choose up to {most}.",
        "{count} LoRAs are too many: choose up to {most}.",
        "count",
    ),
    "lora_twice": N_("The LoRA {typed} comes twice: name it once."),
    "lora_weight": N_("The weight {value} of a LoRA does not fit: choose a number from {least} to {most}."),
    "control_weight": N_("Control weight {value} does not fit: choose a number from {least} to {most}."),
    # Grids.
    "cells": Many(
        "This grid has {count} picture and {most} is the most: name fewer values.",
        "This grid has {count} pictures and {most} is the most: name fewer values.",
        "count",
    ),
    "headings": N_("The labels of this grid do not fit its pictures: ask for a new /grid."),
    "heading_chars": Many(
        "A value of this grid is longer than {most} character: shorten it.",
        "A value of this grid is longer than {most} characters: shorten it.",
        "most",
    ),
    "cell": N_("Every cell of a grid holds one picture, painted from words alone: ask for a new /grid."),
    "grid_pixels": Many(
        "This grid would have {millions} million pixels and {most} is the most: name fewer values, or choose a"
        " smaller size.",
        "This grid would have {millions} million pixels and {most} is the most: name fewer values, or choose a"
        " smaller size.",
        "millions",
    ),
    # Enlarging.
    "factor": N_("Factor {value} does not fit: choose one of {choices}."),
    "no_denoise": N_("{model} takes no denoise: leave it out, or choose another upscaler."),
    "denoise": N_("Denoise {value} does not fit: choose a number from {least} to {most}."),
    "no_pixels": N_("The picture has no pixels: give another one."),
    "enlarged_pixels": Many(
        "{width}x{height} enlarged so many times would have more than {most} million pixels: choose a factor of"
        " {factor}, or a smaller picture.",
        "{width}x{height} enlarged so many times would have more than {most} million pixels: choose a factor of"
        " {factor}, or a smaller picture.",
        "most",
    ),
    "enlarged_at_all": Many(
        "{width}x{height} is too large to be enlarged, {most} million pixels are the most: choose a smaller picture.",
        "{width}x{height} is too large to be enlarged, {most} million pixels are the most: choose a smaller picture.",
        "most",
    ),
    "network_pixels": Many(
        "{width}x{height} is too large for {model}, which first makes every picture {scale} time larger: choose"
        " another upscaler or a smaller picture.",
        "{width}x{height} is too large for {model}, which first makes every picture {scale} times larger: choose"
        " another upscaler or a smaller picture.",
        "scale",
    ),
    # Questions about pictures.
    "no_task": N_("{model} cannot do '{task}': choose one of {tasks}."),
    "task_needs_text": N_("For the task {task}, say what in the option `text`."),
    "task_takes_no_text": N_("The task {task} takes no text: leave it out, or choose find or segment."),
    "text_chars": Many(
        "The text has {chars} character and {most} is the most: shorten it.",
        "The text has {chars} characters and {most} is the most: shorten it.",
        "chars",
    ),
    "text_signs": N_("The text cannot have < or > in it: say it in other words."),
    "grow": N_("The mask's size {value} does not fit: choose a number from {least} to {most}."),
    "few_labels": N_("Name at least two labels, with commas between them, or choose a set of them."),
    "labels": Many(
        "There is {count} label and {most} is the most: leave some out.",
        "There are {count} labels and {most} is the most: leave some out.",
        "count",
    ),
    "no_label": N_("A label is empty: leave it out."),
    "label_chars": Many(
        "The label {typed} is longer than {most} character: shorten it.",
        "The label {typed} is longer than {most} characters: shorten it.",
        "most",
    ),
    "label_twice": N_("The label {typed} comes twice: name it once."),
    "templates": Many(
        "There is {count} template and 1 to {most} are taken: ask for a new /classify.",
        "There are {count} templates and 1 to {most} are taken: ask for a new /classify.",
        "count",
    ),
    "template": Many(
        "The template {typed} is longer than {most} character or has no place for the label: ask for a new /classify.",
        "The template {typed} is longer than {most} characters or has no place for the label: ask for a new /classify.",
        "most",
    ),
    "compared_size": N_("No picture was painted at {width}x{height}: there is nothing to compare."),
    # What the engine finds wrong with a picture that it works on.
    "input_pixels": N_("A picture of {width}x{height} pixels is too large: give a smaller one."),
    "input_size": N_("The picture has another size than it was said to have: try again."),
    "input_broken": N_("The picture is broken: give it once more."),
    "input_lost": N_("The picture did not arrive whole: try again."),
    "input_unreadable": N_("The picture cannot be read from this machine's disk: try again later."),
    "nothing_marked": N_("Nothing is marked to be painted: name something else, or give another mask."),
    # How jobs end badly.
    "cancelled": N_("Cancelled."),
    "flagged": N_("The safety checker held this back, and it errs at times: try other words or another seed."),
    "no_numbers": N_(
        "Nothing came of it, the model's numbers grew beyond all bounds: try another sampler, less guidance, or"
        " another model."
    ),
    "nothing_to_see": N_("There is nothing to be seen."),
    "lora_broken": N_("The LoRA {lora} is broken, it holds what is no number: leave it out."),
    "lora_unusable": N_(
        "The LoRA {lora} cannot be used with {model} here: leave it out. The operator can see why in the log."
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
    "no_faces": N_("No face was found that could be restored."),
    "painted_in_tiles": N_("The memory was full, so this was decoded in tiles."),
    "painted_by_parts": N_("The memory was full, so this was painted with one part of the model at a time."),
    "painted_by_layers": N_("The memory was full, so this was painted with one layer of the model at a time."),
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
