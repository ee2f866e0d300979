"""The texts of reasons by their names: what the one rule finds wrong, what the engine says of a job, and what the bot
counts by itself. All else that the bot finds wrong is called by its text.
"""

from __future__ import annotations

from bot.words.elsewhere import ELSEWHERE
from bot.words.marks import N_, Many
from bot.words.outcomes import OUTCOMES
from bot.words.policies import POLICIES
from bot.words.trainings import TRAININGS

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
    "control_by_layers": N_(
        "{model} has no room here for the ControlNet {control}, for its layers come and go: leave `control_image` out."
    ),
    "one_control": N_("{model} follows one picture at a time, by one ControlNet: leave the other out."),
    "controls_apart": N_(
        "The ControlNet {typed} does not work beside {control}: choose one of {choices} as the second, or leave it out."
    ),
    "no_refiner": N_("The refiner {typed} is not here any more: ask for a new picture instead."),
    **ELSEWHERE,
    **TRAININGS,
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
    "joined_parts": Many(
        "{count} part of the prompt is joined by AND and {most} is the most: join fewer.",
        "{count} parts of the prompt are joined by AND and {most} is the most: join fewer.",
        "count",
    ),
    "joined_weight": N_(
        "The weight {value} of {typed} does not fit: between AND, choose a number from -{most} to {most}."
    ),
    "scheduled_texts": Many(
        "The prompt changes {count} time from step to step and {most} is the most: let it change less often.",
        "The prompt changes {count} times from step to step and {most} is the most: let it change less often.",
        "count",
    ),
    "no_clip_skip": N_("{model} has no layers to skip: leave clip skip out, or choose another model."),
    "clip_skip": N_("Clip skip {value} does not fit: choose a number from {least} to {most}."),
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
    "needs_mask": N_("{model} fills marked parts of pictures and paints nothing else: use it in /edit."),
    "mask_of_nothing": N_("A mask says which part of a picture is painted: give the picture too."),
    "mask_size": N_("The mask has another size than the picture: give one of the same size."),
    "no_references": N_(
        "{model} looks at no pictures beside the words: leave `reference` out, or choose another model."
    ),
    "references": Many(
        "{count} picture is too many for {model}, which looks at {most}: leave `reference` out.",
        "{count} pictures are too many for {model}, which looks at {most}: leave some out.",
        "count",
    ),
    "reference_proportions": N_(
        "A picture of {width}x{height} is too long to be looked at beside the words, {most} times as long as wide is"
        " the most: cut it."
    ),
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
    "lora_no_number": N_("The weight of {lora} {typed} is not a number: write one like 0.6."),
    "lora_setting": N_("The LoRA {lora} cannot be set as {typed}: leave that out."),
    "no_hypernets": N_("The hypernetwork {typed} cannot be used, there are none here: leave it out."),
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
    **OUTCOMES,
    **POLICIES,
}
